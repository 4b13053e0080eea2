/** What can be asked about the visitor. */

import * as contract from "wayside:policy/visitor@1.0.0";

/** The kind of device, by the size and use of its screen. */
export type Device = "desktop" | "phone" | "tablet" | "tv" | "unknown";

/** A place on the globe with a name of its own. */
export interface Point<Name extends string = string> {
    readonly name: Name;
    /** Degrees north, -90 to 90. */
    readonly latitude: number;
    /** Degrees east, -180 to 180. */
    readonly longitude: number;
}

/** The country, ISO 3166-1 alpha-2 in upper case. */
export function country(): string | undefined {
    return contract.country();
}

/** AF, AN, AS, EU, NA, OC or SA. */
export function continent(): string | undefined {
    return contract.continent();
}

/** The largest subdivision, ISO 3166-2 without the country: `CA`, `ENG`. */
export function subdivision(): string | undefined {
    return contract.subdivision();
}

/** The city, in English. */
export function city(): string | undefined {
    return contract.city();
}

/** The time zone, IANA name. */
export function timeZone(): string | undefined {
    return contract.timeZone();
}

/** Whether the country is in the European Union; false when unknown. */
export function inEu(): boolean {
    return contract.inEu();
}

/** The autonomous system. */
export function asn(): number | undefined {
    return contract.asn();
}

/**
 * Whether the address is in one of these networks, written `192.0.2.0/24`. A text that is no network is a failure of
 * the policy.
 */
export function inNetwork(networks: readonly string[]): boolean {
    return contract.inNetwork([...networks]);
}

/**
 * Which of these points is nearest to where the visitor is, by great circle: its name. Of those equally near it is the
 * first; undefined when it is not known where the visitor is. More than 64 points, a name that is there twice, or a
 * point that is nowhere on the globe is a failure of the policy.
 */
export function nearest<Name extends string>(points: readonly Point<Name>[]): Name | undefined {
    // The host answers with one of the names it was given.
    return contract.nearest([...points]) as Name | undefined;
}

/** The device. */
export function device(): Device {
    return contract.device();
}

/** `android`, `ios`, `windows`, `macos`, `linux`, `chromeos` or `other`. */
export function os(): string {
    return contract.os();
}

/** `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung` or `other`. */
export function browser(): string {
    return contract.browser();
}

/** Whether the visitor says that it is a program. */
export function bot(): boolean {
    return contract.bot();
}

/**
 * In which of `count` buckets the visitor falls for this salt: 0 to `count` - 1, stable for each visitor, without a
 * cookie. Different salts give independent buckets; a `count` of 0 is a failure of the policy.
 */
export function bucket(salt: string, count: number): number {
    return contract.bucket(salt, count);
}
