/** What a policy of streams answers. */

import type { Decision } from "./decision.js";

/** A tier: how much each target carries beside the others of it, a finite number from 0. */
export type Tier = Readonly<Record<string, number>>;

/** Which targets may serve a stream, and which first. Which one does, their state decides at each request. */
export interface Plan {
    /**
     * In order of preference: a tier is taken when no target is left in those before, 8 tiers at most, each target once.
     * Without them all targets are one tier, by their own weights.
     */
    readonly tiers?: readonly Tier[];
    /** The only targets allowed; all when left out. */
    readonly allow?: readonly string[];
    /** Targets that are never taken. */
    readonly deny?: readonly string[];
    /** The region to take first, instead of the visitor's. */
    readonly preferredRegion?: string;
}

/** A plan as it passes the border. */
interface ContractPlan {
    readonly tiers: readonly (readonly { readonly target: string; readonly weight: number }[])[];
    readonly allow: readonly string[] | undefined;
    readonly deny: readonly string[];
    readonly preferredRegion: string | undefined;
}

/** What a policy of streams wants to happen. Made by {@link steer}, and by what makes a {@link Decision}. */
export type StreamDecision = Decision | { readonly tag: "plan"; readonly val: ContractPlan };

/**
 * Serve a stream from these targets.
 *
 * @throws TypeError when it is no plan: a tier that is no table of numbers, a name that is no text.
 */
export function steer({ tiers = [], allow, deny = [], preferredRegion }: Plan): StreamDecision {
    const val = {
        tiers: tiers.map((tier) =>
            Object.entries(tier).map(([target, weight]) => {
                if (typeof weight !== "number") {
                    throw new TypeError(`steer: found the weight ${JSON.stringify(weight)} of ${target}, expected a number`);
                }
                return { target, weight };
            }),
        ),
        allow: allow && names("allow", allow),
        deny: names("deny", deny),
        preferredRegion,
    };
    return { tag: "plan", val };
}

function names(list: string, found: readonly string[]): string[] {
    const other = found.find((name) => typeof name !== "string");
    if (other !== undefined) {
        throw new TypeError(`steer: found ${JSON.stringify(other)} in ${list}, expected a target's name`);
    }
    return [...found];
}
