/**
 * Takes away what a policy cannot have, with a message that says what to ask instead. Without this, `Math.random()`
 * would give the same numbers at each run, `crypto.randomUUID()` the same id, and `console.log` would go nowhere.
 * Imported before the policy itself, so that it holds for what the policy does at its top level, too.
 */

import { debug, error, info, warn } from "./log.js";

const NO_TIME = "a policy has no clock: ask `clock.atOrAfter(instant)` or `clock.hour(zone)`";
const NO_RANDOMNESS = "a policy has no randomness: ask `visitor.bucket(salt, count)`, which stays the same for a visitor";
const NO_NETWORK = "a policy has no network: it can only ask";
const NO_WAITING = "a policy has nothing to wait for: it answers at once";

function refuse(message: string): never {
    throw new Error(message);
}

Math.random = () => refuse(NO_RANDOMNESS);
Date.now = () => refuse(NO_TIME);
globalThis.Date = new Proxy(Date, {
    // `Date()` is the present, whatever it is called with.
    apply: () => refuse(NO_TIME),
    construct: (target, values, called) =>
        values.length === 0 ? refuse(NO_TIME) : Reflect.construct(target, values, called),
});

const absent = {
    crypto: NO_RANDOMNESS,
    performance: NO_TIME,
    fetch: NO_NETWORK,
    setTimeout: NO_WAITING,
    setInterval: NO_WAITING,
};
for (const [name, message] of Object.entries(absent)) {
    Object.defineProperty(globalThis, name, { get: () => refuse(message) });
}

function said(write: (message: string) => void): (...values: unknown[]) => void {
    return (...values) => write(values.map(String).join(" "));
}

const console = { debug: said(debug), log: said(info), info: said(info), warn: said(warn), error: said(error) };
Object.defineProperty(globalThis, "console", { value: console });
