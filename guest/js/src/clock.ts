/**
 * What can be asked about the time.
 *
 * There is no "now": a policy asks whether an instant has come, or for the hour in a place, so that the host knows until
 * when its answer holds, to the second. A decision that asked for the hour is remembered once for each hour of the day.
 */

import * as contract from "wayside:policy/clock@1.0.0";

/**
 * Whether it is this instant or later: a date such as `new Date("2026-12-24T18:00:00Z")`, or seconds since 1970 UTC.
 *
 * @throws RangeError for a date that is none, and for an instant before 1970.
 */
export function atOrAfter(instant: Date | number | bigint): boolean {
    if (typeof instant === "bigint") {
        return contract.atOrAfter(instant);
    }
    // A policy cannot see fractions of a second; the next whole one is the first that is not before the instant.
    const seconds = Math.ceil(instant instanceof Date ? instant.getTime() / 1000 : instant);
    if (!(seconds >= 0)) {
        throw new RangeError(`clock.atOrAfter: found ${String(instant)}, expected a date since 1970`);
    }
    return contract.atOrAfter(BigInt(seconds));
}

/**
 * The day of the week in this time zone, an IANA name such as `Europe/Berlin`: 0 is Monday, 6 is Sunday. A name that is
 * no zone's is a failure of the policy.
 */
export function weekday(zone: string): number {
    return contract.weekday(zone);
}

/**
 * The hour in this time zone: 0 to 23. Clocks that go forward or back are accounted for. A name that is no zone's is a
 * failure of the policy.
 */
export function hour(zone: string): number {
    return contract.hour(zone);
}
