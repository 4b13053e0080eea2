// Builds a policy written in JavaScript or TypeScript. `wayside policy build` runs it.
//
// In: the policy's folder, with a package.json, and the file to write. Out: a component that imports the interfaces
// it asks through and nothing else. Messages go to standard error; it exits with 1 when there is no component.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { SourceMap, createRequire, isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const SDK = dirname(fileURLToPath(import.meta.url));
/** What a policy may be: the function it exports, the world that has it, and what runs it. */
const KINDS = [
    { name: "decide", world: "redirect-policy", runner: "run" },
    { name: "plan", world: "stream-policy", runner: "runStream" },
];
const PACKAGE = "wayside:policy/";
const VERSION = "@1.0.0";

/** Where the policy is, unless its package.json says so under `main`. */
const ENTRIES = ["src/policy.ts", "src/policy.js"];

/** What the bundle is called; it is never written. */
const BUNDLE = "policy.js";

/** What an engine of JavaScript would import from WASI; a policy has none of it. */
const DISABLED_FEATURES = ["stdio", "random", "clocks", "http", "fetch-event"];

const require = createRequire(import.meta.url);

/** A mistake of the author's: told without a stack trace. */
class Refusal extends Error {}

async function main([folder, output]) {
    if (!folder || !output) {
        throw new Refusal("usage: node build.mjs FOLDER COMPONENT");
    }
    const dir = resolve(folder);
    const esbuild = await installed("esbuild");
    const { componentize } = await installed("@bytecodealliance/componentize-js");
    const entry = await entryOf(dir);
    checkTypes(dir);
    try {
        const kind = await kindOf(esbuild, dir, entry);
        const bundled = await bundle(esbuild, dir, entry, kind);
        await writeFile(output, await component(componentize, bundled, kind));
    } catch (error) {
        throw error.errors ? new Refusal(await syntax(esbuild, error.errors)) : error;
    }
}

/** A package this one depends on. */
async function installed(name) {
    try {
        return await import(name);
    } catch (error) {
        throw error.code === "ERR_MODULE_NOT_FOUND"
            ? new Refusal(`a package that building needs is not installed, run \`npm install\`: ${error.message}`)
            : error;
    }
}

/** The module with the policy, relative to the folder. */
async function entryOf(dir) {
    const { main } = JSON.parse(await readFile(join(dir, "package.json"), "utf8"));
    const candidates = main === undefined ? ENTRIES : [main];
    const found = candidates.find((candidate) => existsSync(join(dir, candidate)));
    if (found === undefined) {
        const said = main === undefined ? `, or another module named under "main" in package.json` : ` (package.json, "main")`;
        throw new Refusal(`there is no policy: expected ${candidates.join(" or ")}${said}`);
    }
    return `./${relative(dir, join(dir, found)).replaceAll("\\", "/")}`;
}

/** Checks types where the author wants it: a folder with a tsconfig.json. */
function checkTypes(dir) {
    if (!existsSync(join(dir, "tsconfig.json"))) {
        return;
    }
    const manifest = require.resolve("typescript/package.json");
    try {
        const tsc = join(dirname(manifest), "bin/tsc");
        // Its messages belong on standard error, with all the others.
        execFileSync(process.execPath, [tsc, "--noEmit", "--project", "."], { cwd: dir, stdio: ["ignore", 2, 2] });
    } catch (error) {
        if (typeof error.status === "number") {
            throw new Refusal("TypeScript found the mistakes above (tsconfig.json decides how strict it is)");
        }
        throw error;
    }
}

/**
 * What kind of policy the module exports. Says what is missing in words of the author's: esbuild would name a file of
 * ours.
 */
async function kindOf(esbuild, dir, entry) {
    const { metafile } = await esbuild.build({ ...options(dir), entryPoints: [entry] });
    const { exports } = metafile.outputs[BUNDLE];
    const kinds = KINDS.filter(({ name }) => exports.includes(name));
    if (kinds.length !== 1) {
        const found = exports.length === 0 ? "exports nothing" : `exports ${exports.join(", ")}`;
        throw new Refusal(
            `${entry} ${found}, expected a function \`decide\`: export function decide() { … }` +
                ", or for streams a function `plan`: export function plan() { … }",
        );
    }
    return kinds[0];
}

/** One module of all the policy's code, and what of the contract it uses. */
async function bundle(esbuild, dir, entry, { name, runner }) {
    const sdk = (name) => JSON.stringify(join(SDK, "src", `${name}.ts`));
    const stdin = {
        contents: `
            import ${sdk("guard")};
            import { ${name} as policy } from ${JSON.stringify(entry)};
            import { ${runner} as run } from ${sdk("run")};
            if (typeof policy !== "function") {
                throw new TypeError("\`${name}\` is no function, expected: export function ${name}() { … }");
            }
            export function ${name}() {
                return run(policy);
            }`,
        resolveDir: dir,
        sourcefile: "policy",
        loader: "js",
    };
    const whole = await esbuild.build({ ...options(dir), stdin, sourcemap: "inline" });
    // Once more, without what only stood in lists of exports: esbuild keeps all of a module that is used as an object.
    const pruned = { ...stdin, contents: withoutUnusedExports(whole.outputFiles[0].text) };
    const { metafile, outputFiles } = await esbuild.build({ ...options(dir), stdin: pruned });
    const { imports } = metafile.outputs[BUNDLE];
    const interfaces = imports.map(({ path }) => path.slice(PACKAGE.length, -VERSION.length));
    const text = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text;
    const source = text(".js");
    const used = new Map(interfaces.map((name) => [name, functionsOf(source, name)]));
    return { source, sourceMap: new SourceMap(JSON.parse(text(".map"))), used };
}

/**
 * The bundle with those exports only that are used, of the modules that are used as objects: `visitor.country()` needs
 * nothing else of `visitor`. A module of which more is done than naming its parts is left as it is.
 */
function withoutUnusedExports(source) {
    return source.replace(/^__export\((\w+_exports), \{\n([^}]*)\n\}\);$/gm, (list, module, entries) => {
        const uses = usesOf(module, source.replace(list, "").replace(`var ${module} = {};`, ""));
        if (uses === undefined) {
            return list;
        }
        // Lines stay where they are, for the places in messages; a name of other letters stays, too.
        const kept = entries.split("\n").map((entry) => {
            const name = /^ *([\w$]+): /.exec(entry)?.[1];
            return name === undefined || uses.has(name) ? entry : "";
        });
        return `__export(${module}, {\n${kept.join("\n")}\n});`;
    });
}

/** The parts of an object that are named in the source; undefined when it is used in another way, too. */
function usesOf(object, source) {
    const uses = source.match(new RegExp(`(?<![\\w$.])${object}(?![\\w$])(\\.[\\w$]+)?`, "g")) ?? [];
    const parts = uses.map((use) => use.slice(object.length + 1));
    return parts.includes("") ? undefined : new Set(parts);
}

/**
 * The functions of an interface that the bundle calls, in camel case; undefined where that cannot be told, as when a
 * policy goes around the SDK. The SDK imports each interface as a whole and names what it calls.
 */
function functionsOf(source, name) {
    const lines = source.match(/^import .*$/gm).filter((line) => line.endsWith(`"${PACKAGE}${name}${VERSION}";`));
    const [, object] = /^import \* as (\w+) from /.exec(lines[0]) ?? [];
    return lines.length === 1 && object !== undefined ? usesOf(object, source.replace(lines[0], "")) : undefined;
}

function options(dir) {
    return {
        absWorkingDir: dir,
        bundle: true,
        write: false,
        metafile: true,
        outfile: join(dir, BUNDLE),
        format: "esm",
        platform: "neutral",
        mainFields: ["module", "main"],
        conditions: ["import"],
        target: "es2022",
        charset: "utf8",
        external: [`${PACKAGE}*${VERSION}`],
        sourcemap: "external",
        logLevel: "silent",
    };
}

/** The component around the engine of JavaScript and the policy. */
async function component(componentize, { source, sourceMap, used }, { name, world }) {
    const work = await mkdtemp(join(tmpdir(), "wayside-policy-"));
    try {
        const contract = await readFile(join(SDK, "wit/policy.wit"), "utf8");
        const witPath = join(work, "policy.wit");
        await writeFile(witPath, contractOf(contract, used));
        const built = await componentize(source, { witPath, worldName: world, disableFeatures: DISABLED_FEATURES });
        return built.component;
    } catch (error) {
        throw unstarted(error.message, sourceMap, name) ?? error;
    } finally {
        await rm(work, { recursive: true });
    }
}

/** What went wrong outside of the policy's function, which has run while the component was made. */
function unstarted(message, sourceMap, policy) {
    const question = /unknown imported function: 'wayside:policy\/([a-z-]+)@.*?' '([a-z-]+)'/.exec(message);
    if (question !== null) {
        return new Refusal(
            `the policy asks ${question[1]}.${question[2]} outside of \`${policy}\`: what stands there runs once, when the ` +
                "policy is built, and can ask nothing",
        );
    }
    const thrown = /^Exception while evaluating top-level script\n(?:(\S+):(\d+):(\d+) )?(.*)/m.exec(message);
    if (thrown === null) {
        return undefined;
    }
    const [, , line, column, what] = thrown;
    const { originalSource, originalLine } = line === undefined ? {} : sourceMap.findEntry(line - 1, column - 1);
    const place = originalSource === undefined ? "" : ` (${originalSource}:${originalLine + 1})`;
    return new Refusal(`the policy fails outside of \`${policy}\`, which runs once, when it is built: ${what}${place}`);
}

/**
 * The contract without the interfaces and functions that are not used, which a component would import all the same: so
 * its imports tell what a policy can ask.
 */
function contractOf(wit, used) {
    let open = "";
    return wit
        .split("\n")
        .filter((line) => {
            open = /^(?:interface|world) ([a-z-]+) \{$/.exec(line)?.[1] ?? open;
            const imported = /^ {4}import ([a-z-]+);$/.exec(line)?.[1];
            const asked = /^ {4}([a-z-]+): func\(/.exec(line)?.[1];
            if (imported !== undefined) {
                return used.has(imported);
            }
            return asked === undefined || (used.get(open)?.has(camel(asked)) ?? true);
        })
        .join("\n");
}

/** `at-or-after` as JavaScript names it: `atOrAfter`. */
function camel(name) {
    return name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
}

/** What esbuild found, with its places in the source, and with remedies that fit a policy. */
async function syntax(esbuild, errors) {
    const remedied = errors.map((error) => {
        const [, name] = /^Could not resolve "(.*)"/.exec(error.text) ?? [];
        if (name === undefined) {
            return error;
        }
        const text = isBuiltin(name)
            ? "A policy has no files, no network and nothing else of Node.js: it can only ask."
            : "Is it installed? `npm install` installs what package.json names.";
        return { ...error, notes: name.startsWith(".") ? [] : [{ text }] };
    });
    const lines = await esbuild.formatMessages(remedied, { kind: "error", color: process.stderr.isTTY });
    return lines.join("");
}

try {
    await main(process.argv.slice(2));
} catch (error) {
    console.error((error instanceof Refusal ? error.message : error.stack).trimEnd());
    process.exitCode = 1;
}
