/** What a policy answers. */

/** How a visitor can be sent elsewhere. */
export type RedirectStatus = 301 | 302 | 303 | 307 | 308;

/** How a visitor can be refused. */
export type DenyStatus = 401 | 403 | 404 | 410 | 451 | 503;

/** What a policy wants to happen. Made by {@link redirect}, {@link deny} and {@link proceed}. */
export type Decision =
    | { readonly tag: "proceed" }
    | { readonly tag: "redirect"; readonly val: { readonly status: RedirectStatus; readonly location: string } }
    | { readonly tag: "deny"; readonly val: DenyStatus };

/** Go on with the site's link, its rules and its not-found action. A policy that returns nothing says the same. */
export function proceed(): Decision {
    return { tag: "proceed" };
}

/**
 * Send the visitor to an absolute `http` or `https` URL.
 *
 * The URL may be a template, which the host fills in for each request: `{path}`, `{?query}`, `{host}`, `{country}`,
 * `{link.key}`, `{link.target}`. A template is better than the same text put together here: the decision stays one for
 * all paths.
 *
 * @param status 301, 302, 303, 307 or 308.
 */
export function redirect(location: string, status: RedirectStatus = 302): Decision {
    return { tag: "redirect", val: { status, location } };
}

/** Refuse with 401, 403, 404, 410, 451 or 503. */
export function deny(status: DenyStatus): Decision {
    return { tag: "deny", val: status };
}
