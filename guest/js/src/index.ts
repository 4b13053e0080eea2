/**
 * Write a Wayside policy as one function.
 *
 * In: questions about a request, its visitor, the link, the time and the binding's settings. Out: a {@link Decision}. A
 * policy never receives the request: it asks, and each question it asks is part of what its decision is remembered
 * by. So ask for what you need and nothing more: a policy that reads only the country is run once for each country,
 * one that reads a raw header once for each value of that header.
 *
 * ```ts
 * import { deny, proceed, redirect, visitor } from "@wayside/policy";
 *
 * export function decide() {
 *     switch (visitor.country()) {
 *         case "DE":
 *         case "AT":
 *             return redirect("https://de.example.com{path}{?query}");
 *         case "KP":
 *             return deny(451);
 *         default:
 *             return proceed();
 *     }
 * }
 * ```
 *
 * A policy of streams exports `plan` instead, and plans who serves an asset:
 *
 * ```ts
 * import { steer, visitor } from "@wayside/policy";
 *
 * export function plan() {
 *     return visitor.country() === "DE" ? steer({ tiers: [{ "cdn-a": 3, "cdn-b": 1 }, { own: 1 }] }) : undefined;
 * }
 * ```
 *
 * A policy has no clock, no randomness, no files and no network. It runs in a fresh sandbox each time, for at most
 * 10 ms and in at most 64 MiB of memory, and may ask 64 different questions. What stands outside of that function runs
 * once, when the policy is built, and can ask nothing.
 *
 * @module
 */
/// <reference path="contract.d.ts" />

export * as clock from "./clock.js";
export * as link from "./link.js";
export * as log from "./log.js";
export * as node from "./node.js";
export * as request from "./request.js";
export * as settings from "./settings.js";
export * as streams from "./streams.js";
export * as visitor from "./visitor.js";
export { deny, proceed, redirect } from "./decision.js";
export { steer } from "./plan.js";
export type { Decision, DenyStatus, RedirectStatus } from "./decision.js";
export type { Plan, StreamDecision, Tier } from "./plan.js";
export type { Device, Point } from "./visitor.js";
