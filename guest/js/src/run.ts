/** What `wayside policy build` wraps a policy in; not for use by hand. */

import { proceed, type Decision } from "./decision.js";
import { error } from "./log.js";
import type { StreamDecision } from "./plan.js";

/**
 * Runs a policy. The message of what it throws goes to its log before the sandbox ends, and so does what is no
 * decision: at the border both would be a trap without a word.
 */
export function run(decide: () => unknown): Decision {
    return told(() => decision(decide()));
}

/** The same for a policy of streams. */
export function runStream(plan: () => unknown): StreamDecision {
    return told(() => {
        const value = plan();
        const isPlan = (value as { tag?: unknown } | null | undefined)?.tag === "plan";
        return isPlan ? (value as StreamDecision) : decision(value, "plan");
    });
}

function told<D>(decide: () => D): D {
    try {
        return decide();
    } catch (thrown) {
        error(described(thrown));
        throw thrown;
    }
}

function decision(value: unknown, name = "decide"): Decision {
    if (value === undefined || value === null) {
        return proceed();
    }
    if (value instanceof Promise) {
        throw new TypeError(`${name} returned a promise, expected a decision: a policy has nothing to wait for`);
    }
    const { tag, val } = value as { tag?: unknown; val?: unknown };
    const isDecision =
        tag === "proceed" ||
        (tag === "deny" && isStatus(val)) ||
        (tag === "redirect" && isRedirection(val as { status?: unknown; location?: unknown } | undefined));
    if (!isDecision) {
        const found = JSON.stringify(value) ?? String(value);
        const makers = name === "plan" ? "steer(), redirect(), deny() or proceed()" : "redirect(), deny() or proceed()";
        throw new TypeError(`${name} returned ${found}, expected what ${makers} make`);
    }
    return value as Decision;
}

function isRedirection(value: { status?: unknown; location?: unknown } | undefined): boolean {
    return typeof value?.location === "string" && isStatus(value.status);
}

/** Whether it fits the contract's type; which statuses are allowed, the host says. */
function isStatus(value: unknown): boolean {
    return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

/** The message first: the host keeps the beginning. */
function described(thrown: unknown): string {
    if (!(thrown instanceof Error)) {
        return `thrown: ${String(thrown)}`;
    }
    const place = thrown.stack?.split("\n")[0];
    return place ? `${String(thrown)} (${place})` : String(thrown);
}
