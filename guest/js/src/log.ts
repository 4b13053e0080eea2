/**
 * Notes for the policy's author.
 *
 * They change nothing, and they are spoken only when the policy is run afresh, not when its decision was remembered.
 * The host keeps 16 notes of a run and 1 KiB of each.
 */

import * as contract from "wayside:policy/log@1.0.0";

/** For following a policy step by step. */
export function debug(message: string): void {
    contract.write("debug", message);
}

/** What is worth knowing. */
export function info(message: string): void {
    contract.write("info", message);
}

/** What should be looked at. */
export function warn(message: string): void {
    contract.write("warn", message);
}

/** What went wrong. */
export function error(message: string): void {
    contract.write("error", message);
}
