/**
 * Sends each country's visitors to a place of its own.
 *
 * | setting | meaning |
 * |---|---|
 * | a country in lower case (`de`) | where its visitors go |
 * | `default` | where everybody else goes; without it they go on to the link |
 *
 * Places may be templates: `https://{country}.example.com{path}{?query}`.
 */

import { proceed, redirect, settings, visitor, type Decision } from "@wayside/policy";

export function decide(): Decision {
    const country = visitor.country();
    const own = country && settings.get(country.toLowerCase());
    const place = own ?? settings.get("default");
    return place === undefined ? proceed() : redirect(place);
}
