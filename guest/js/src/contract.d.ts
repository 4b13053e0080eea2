// The contract as componentize-js presents it: one module for each interface of `wit/policy.wit`. The host's tests
// hold every line against that file. For the other modules of the SDK only.

declare module "wayside:policy/request@1.0.0" {
    export function method(): string;
    export function scheme(): string;
    export function host(): string;
    export function path(): string;
    export function segment(index: number): string | undefined;
    export function query(name: string): string | undefined;
    export function header(name: string): string | undefined;
    export function cookie(name: string): string | undefined;
    export function prefers(languages: string[]): string | undefined;
}

declare module "wayside:policy/visitor@1.0.0" {
    export type DeviceClass = "desktop" | "phone" | "tablet" | "tv" | "unknown";
    export interface Point {
        name: string;
        latitude: number;
        longitude: number;
    }
    export function country(): string | undefined;
    export function continent(): string | undefined;
    export function subdivision(): string | undefined;
    export function city(): string | undefined;
    export function timeZone(): string | undefined;
    export function inEu(): boolean;
    export function asn(): number | undefined;
    export function inNetwork(networks: string[]): boolean;
    export function nearest(points: Point[]): string | undefined;
    export function device(): DeviceClass;
    export function os(): string;
    export function browser(): string;
    export function bot(): boolean;
    export function bucket(salt: string, count: number): number;
}

declare module "wayside:policy/link@1.0.0" {
    export function exists(): boolean;
    export function key(): string | undefined;
    export function target(): string | undefined;
    export function tags(): string[];
    export function attribute(name: string): string | undefined;
}

declare module "wayside:policy/clock@1.0.0" {
    export function atOrAfter(instant: bigint): boolean;
    export function weekday(zone: string): number;
    export function hour(zone: string): number;
}

declare module "wayside:policy/node@1.0.0" {
    export function region(): string | undefined;
    export function pop(): string | undefined;
}

declare module "wayside:policy/settings@1.0.0" {
    export function get(name: string): string | undefined;
}

declare module "wayside:policy/streams@1.0.0" {
    export function asset(): string | undefined;
    export function tags(): string[];
    export function attribute(name: string): string | undefined;
    export function targets(): string[];
    export function region(target: string): string | undefined;
}

declare module "wayside:policy/log@1.0.0" {
    export type Level = "debug" | "info" | "warn" | "error";
    export function write(level: Level, message: string): void;
}
