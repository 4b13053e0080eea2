/** What can be asked about the node that answers. */

import * as contract from "wayside:policy/node@1.0.0";

/** Its region. */
export function region(): string | undefined {
    return contract.region();
}

/** Its point of presence. */
export function pop(): string | undefined {
    return contract.pop();
}
