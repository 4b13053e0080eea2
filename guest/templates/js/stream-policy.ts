/**
 * Plans who serves a stream: one CDN, a share of one country on a second, and others behind them.
 *
 * | setting | meaning |
 * |---|---|
 * | `first` | the target that serves by itself; without it nothing is planned |
 * | `second` | the target that takes over when the first is down, and serves its share before |
 * | `country`, `percent` | of which country the second serves how much, from 0 to 100 |
 * | `behind` | the targets that serve when both are down, separated by commas |
 * | a continent in lower case (`eu`) | the region to take first for visitors from there, instead of the nearest |
 */

import { settings, steer, visitor, type StreamDecision, type Tier } from "@wayside/policy";

export function plan(): StreamDecision | undefined {
    const first = settings.get("first");
    if (first === undefined) {
        return undefined;
    }
    const tiers = main(first, settings.get("second"), percent());
    const names = (settings.get("behind") ?? "").split(",").map((name) => name.trim());
    const behind = names.filter((name) => name !== "").map((name) => [name, 1] as const);
    if (behind.length > 0) {
        tiers.push(Object.fromEntries(behind));
    }
    return steer({ tiers, preferredRegion: region() });
}

function main(first: string, second: string | undefined, share: number | undefined): Tier[] {
    if (second === undefined) {
        return [{ [first]: 1 }];
    }
    return share === undefined ? [{ [first]: 1 }, { [second]: 1 }] : [{ [first]: 100 - share, [second]: share }];
}

/** The second's share of this visitor's country. */
function percent(): number | undefined {
    const country = settings.get("country");
    const share = country === undefined ? undefined : settings.number("percent");
    return share !== undefined && visitor.country() === country ? share : undefined;
}

function region(): string | undefined {
    const continent = visitor.continent();
    return continent === undefined ? undefined : settings.get(continent.toLowerCase());
}
