/** What can be asked about the link at the request's path. */

import * as contract from "wayside:policy/link@1.0.0";

/** Whether there is one and it is live. */
export function exists(): boolean {
    return contract.exists();
}

/** Its path in normal form. */
export function key(): string | undefined {
    return contract.key();
}

/** Where it leads by itself. To pass it on, write `{link.target}` as the redirect's location instead. */
export function target(): string | undefined {
    return contract.target();
}

/** Its owner's labels; none when there is no link. */
export function tags(): string[] {
    return contract.tags();
}

/** What the link's owner wrote down about it under this name (`--attribute campaign=spring`). */
export function attribute(name: string): string | undefined {
    return contract.attribute(name);
}

/** Whether it carries this label. Asks for all of them. */
export function hasTag(tag: string): boolean {
    return tags().includes(tag);
}
