/**
 * What the site's owner set when binding the policy (`wayside policy bind … --set name=value`).
 *
 * A setting that is not what it should be is a mistake, and going on with a default would hide it: `number` and `flag`
 * fail with a message that names the setting, and the binding's failure mode holds.
 */

import * as contract from "wayside:policy/settings@1.0.0";

/** The setting of this name. */
export function get(name: string): string | undefined {
    return contract.get(name);
}

/**
 * The setting of this name as a number.
 *
 * @throws TypeError when it is set to something else.
 */
export function number(name: string): number | undefined {
    const text = get(name);
    if (text === undefined) {
        return undefined;
    }
    const value = Number(text);
    // An empty text would count as 0.
    if (text.trim() === "" || !Number.isFinite(value)) {
        throw unreadable(name, text, "a number");
    }
    return value;
}

/**
 * The setting of this name as a flag.
 *
 * @throws TypeError when it is set to something else than `true` or `false`.
 */
export function flag(name: string): boolean | undefined {
    const text = get(name);
    switch (text) {
        case undefined:
            return undefined;
        case "true":
            return true;
        case "false":
            return false;
        default:
            throw unreadable(name, text, "true or false");
    }
}

function unreadable(name: string, found: string, expected: string): TypeError {
    return new TypeError(`the setting \`${name}\` is ${JSON.stringify(found)}, expected ${expected}`);
}
