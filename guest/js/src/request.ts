/** What can be asked about the request. */

import * as contract from "wayside:policy/request@1.0.0";

/** The method in upper case. */
export function method(): string {
    return contract.method();
}

/** `http` or `https`, as the visitor sees it. */
export function scheme(): string {
    return contract.scheme();
}

/** The host in lower case, without port. */
export function host(): string {
    return contract.host();
}

/**
 * The path in normal form, however the visitor wrote it: no escape where none is needed, `%2F` in upper case, UTF-8
 * escaped. Costly: one remembered decision for each path. To pass the path on, write `{path}` in the redirect's
 * location instead.
 */
export function path(): string {
    return contract.path();
}

/** The segment of that path at this index, counted from 0. */
export function segment(index: number): string | undefined {
    return contract.segment(index);
}

/** The first value of this query parameter, decoded. */
export function query(name: string): string | undefined {
    return contract.query(name);
}

/** This header field's value; repeated fields are joined by `, `. Costly: one remembered decision for each value. */
export function header(name: string): string | undefined {
    return contract.header(name);
}

/** This cookie's value. Costly: one remembered decision for each value. */
export function cookie(name: string): string | undefined {
    return contract.cookie(name);
}

/** Which of these languages the visitor prefers by `Accept-Language`; undefined when none fits. */
export function prefers<Language extends string>(languages: readonly Language[]): Language | undefined {
    // The host answers with one of those it was given.
    return contract.prefers([...languages]) as Language | undefined;
}
