/**
 * What can be asked about the asset that is asked for, and about the targets that can serve it.
 *
 * For a policy that exports `plan`. How targets do cannot be asked: that changes by the moment, and the host applies it
 * after the plan.
 */

import * as contract from "wayside:policy/streams@1.0.0";

/**
 * The asset's id; undefined when the request is for no asset. Costly: one remembered decision for each asset. Labels and
 * attributes that many assets share are better.
 */
export function asset(): string | undefined {
    return contract.asset();
}

/** Its owner's labels. */
export function tags(): string[] {
    return contract.tags();
}

/** Whether it carries this label. Asks for all of them. */
export function hasTag(tag: string): boolean {
    return tags().includes(tag);
}

/** What the asset's owner wrote down about it under this name. */
export function attribute(name: string): string | undefined {
    return contract.attribute(name);
}

/** The names of the targets that have a copy of it, in order of names. */
export function targets(): string[] {
    return contract.targets();
}

/** The region of the target of this name; undefined when it has no copy. */
export function region(target: string): string | undefined {
    return contract.region(target);
}
