/**
 * The import boundaries of ARCHITECTURE.md as one table, checked over the text of every module:
 * type imports count, because a type that crosses a boundary couples both sides just as well.
 *
 * Limits: it reads import and export statements and `import("...")` with a literal; a computed
 * specifier is invisible to it.
 */
import { join, relative, resolve, dirname } from "node:path";

interface Boundary {
  /** What is broken when the rule is, as the operator of `bun run check` reads it. */
  readonly message: string;
  /** Modules that the rule binds, by path from the root. */
  readonly from: RegExp;
  /** Modules that it does not bind after all. */
  readonly except?: RegExp;
  /** Imports that it forbids: a path from the root, or the name of a package. */
  readonly forbidden: RegExp;
  /** Imports that it allows after all. */
  readonly allowed?: RegExp;
  /** Whether `import type` is free, because nothing of it is left at run time. @default false */
  readonly typesAreFree?: boolean;
}

/** Modules that may know the machine: everything else is given what it needs. */
const KNOWS_RUNTIME =
  /^(shared|edge|cloud)\/runtime\/|^shared\/postgres\/|^(edge|cloud)\/main\.ts$|^edge\/build\.ts$|^tests\/|^drizzle\//;

/** Modules of Node that only compute; of crypto the hashes, since random numbers come from Random. */
const PURE_NODE_MODULES = /^node:(buffer|crypto|events|path|path\/posix|stream|util|zlib)$/;

export const BOUNDARIES: readonly Boundary[] = [
  {
    message: "edge/ and cloud/ never import each other",
    from: /^edge\//,
    forbidden: /^cloud\//,
  },
  {
    message: "edge/ and cloud/ never import each other",
    from: /^cloud\//,
    forbidden: /^edge\//,
  },
  {
    message: "shared/ imports nothing from edge/ or cloud/",
    from: /^shared\//,
    forbidden: /^(edge|cloud)\//,
  },
  {
    message: "the program imports nothing from tests/, and of drizzle/ only the generated modules",
    from: /^(shared|edge|cloud)\//,
    except: /^shared\/postgres\/generate-migrations\.ts$/,
    forbidden: /^(tests|drizzle)\//,
    allowed: /^drizzle\/(edge|cloud)\.gen\.ts$/,
  },
  {
    message:
      "only runtime/, shared/postgres, main.ts, edge/build.ts and tests import Bun and the modules of the system",
    from: /^(shared|edge|cloud)\//,
    except: KNOWS_RUNTIME,
    forbidden: /^(bun|bun:.+|node:.+)$/,
    allowed: PURE_NODE_MODULES,
    typesAreFree: true,
  },
  {
    message: "SQL and Drizzle live in */store and shared/postgres only",
    from: /^(shared|edge|cloud)\//,
    except: /^(shared|edge|cloud)\/store\/|^shared\/postgres\//,
    forbidden: /^(postgres|drizzle-orm|drizzle-kit)(\/|$)/,
  },
  {
    message: "api/ and devices/ call functions of store/, never SQL: no shared/postgres and no schema there",
    from: /^(edge|cloud)\/(api|devices|ui|cli)\/|^shared\/rest\//,
    forbidden: /^shared\/postgres\/|^(edge|cloud)\/store\/schema\.ts$|^shared\/store\/([\w-]+-)?tables\.ts$/,
  },
  {
    message: "generated messages stay in shared/wire, edge/sync/transport.ts and cloud/sync/service.ts",
    from: /^(shared|edge|cloud)\//,
    except: /^shared\/wire\/|^edge\/sync\/transport\.ts$|^cloud\/sync\/service\.ts$/,
    forbidden: /^shared\/wire\/gen\//,
  },
  {
    message: "shared/core stands alone",
    from: /^shared\/core\//,
    forbidden: /^shared\/(?!core\/)/,
  },
  {
    message: "shared/sync is pure: at run time it imports shared/core and shared/entities only",
    from: /^shared\/sync\//,
    forbidden: /^shared\/(?!(core|entities|sync)\/)|^[^./]/,
    allowed: /^shared\/(core|entities|sync)\//,
    typesAreFree: true,
  },
  {
    message:
      "shared/rules is pure: at run time it imports shared/core, shared/entities and the languages of rules only",
    from: /^shared\/rules\//,
    forbidden: /^shared\/(?!(core|entities|rules)\/)|^[^./]/,
    allowed: /^shared\/(core|entities|rules)\/|^zod$|^@bufbuild\/cel(\/ext)?$|^quickjs-wasi$/,
    typesAreFree: true,
  },
  {
    message:
      "pages run in browsers: they import Preact, shared/ui and the pages of their own end; what the API is like says shared/ui/api/*.gen.ts",
    from: /^(shared|cloud|edge)\/ui\//,
    forbidden: /./,
    allowed: /^(shared|cloud|edge)\/ui\/|^preact(\/hooks)?$/,
  },
  {
    message: "shared/ui knows no page of either end",
    from: /^shared\/ui\//,
    forbidden: /^(cloud|edge)\/ui\//,
  },
  {
    message: "the program serves pages that are bundled: it imports nothing of them",
    from: /^(?!(shared|cloud|edge)\/ui\/)(shared|edge|cloud)\//,
    forbidden: /^(shared|cloud|edge)\/ui\//,
  },
  {
    message: "an import inside the project is relative and ends in .ts",
    from: /./,
    forbidden: /^\//,
  },
];

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  readonly message: string;
}

const BARREL = "no barrel files: import from the module that declares it";

interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly typeOnly: boolean;
  /** `export ... from`, which hands on what another module declares. */
  readonly reexport: boolean;
}

/** Every rule of BOUNDARIES that the module at `file`, a path from the root, breaks. */
export function findViolations(file: string, source: string): Violation[] {
  const violations: Violation[] = [];
  for (const { specifier, line, typeOnly, reexport } of readImports(source)) {
    if (reexport) violations.push({ file, line, specifier, message: BARREL });
    const target = specifier.startsWith(".") ? join(dirname(file), specifier) : specifier;
    for (const rule of BOUNDARIES) {
      if (!rule.from.test(file) || rule.except?.test(file)) continue;
      if (!rule.forbidden.test(target) || rule.allowed?.test(target)) continue;
      if (typeOnly && rule.typesAreFree === true) continue;
      violations.push({ file, line, specifier, message: rule.message });
    }
  }
  return violations;
}

/** `from "x"` of an import or export, `import "x"`, `import("x")`; comments hold none. */
function readImports(source: string): Import[] {
  const text = blankComments(source);
  const found: Import[] = [];
  const statement =
    /^[ \t]*(import|export)(\s+type\b)?(?:[^"'`;()]*?\bfrom)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  for (const match of text.matchAll(statement)) {
    const specifier = match[3] ?? match[4];
    if (specifier === undefined) continue;
    const line = text.slice(0, match.index).split("\n").length;
    found.push({ specifier, line, typeOnly: match[2] !== undefined, reexport: match[1] === "export" });
  }
  return found;
}

/** Comments that begin a line, as blanks, so that lines keep their numbers and strings stay whole. */
function blankComments(source: string): string {
  const blank = (comment: string): string => comment.replaceAll(/[^\n]/g, " ");
  return source.replaceAll(/^[ \t]*\/\*[\s\S]*?\*\//gm, blank).replaceAll(/^[ \t]*\/\/.*$/gm, blank);
}

async function main(): Promise<void> {
  const root = resolve(import.meta.dir, "../..");
  const violations: Violation[] = [];
  let modules = 0;
  for await (const path of new Bun.Glob("{shared,edge,cloud,tests,drizzle,ui}/**/*.{ts,tsx}").scan({ cwd: root })) {
    if (path.startsWith("shared/wire/gen/")) continue;
    modules += 1;
    violations.push(...findViolations(relative(root, resolve(root, path)), await Bun.file(join(root, path)).text()));
  }
  for (const { file, line, specifier, message } of violations) {
    console.log(`${file}:${line} imports "${specifier}": ${message}`);
  }
  console.log(`${modules} modules, ${violations.length} imports across a boundary`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

if (import.meta.main) await main();
