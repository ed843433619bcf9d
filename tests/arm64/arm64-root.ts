/**
 * An emulated arm64 gateway: a Debian root for arm64 whose programs Debian's qemu-user-static runs.
 * It is made once and kept under .cache/; whoever starts something in it gets its own mount table, so nothing stays mounted.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_ROOT, runTool } from "../support/tools.ts";

const RELEASE = "bookworm";
const ROOT = join(PROJECT_ROOT, ".cache/arm64-root");
const PACKAGES = ["debootstrap", "qemu-user-static"];
const BINFMT = "/proc/sys/fs/binfmt_misc";
/** The package's own registration; its F flag opens the emulator now, so that it works inside a root that lacks it. */
const BINFMT_RULE = "/usr/lib/binfmt.d/qemu-aarch64.conf";

/**
 * Path of the root, made first if it isn't there: 2 to 4 minutes.
 *
 * @throws Error when it does not run as root, or with the output of the step that failed
 */
export async function prepareArm64Root(): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new Error("Emulating an arm64 machine takes root for chroot and mount; run this as root");
  await installPackages();
  await registerEmulator();
  if (!existsSync(ROOT)) await makeRoot();
  return ROOT;
}

/**
 * The command line that runs `command` inside `root` with the environment and the pid of its caller. A path below `root`
 * means the same inside, so that a data directory has one name on both sides.
 */
export function commandInRoot(root: string, command: readonly string[]): string[] {
  const script =
    '/bin/mount --rbind /dev "$0/dev" && /bin/mount -t proc proc "$0/proc" && exec /usr/sbin/chroot "$0" "$@"';
  return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, root, ...command];
}

async function installPackages(): Promise<void> {
  const missing = existsSync(BINFMT_RULE) && existsSync("/usr/sbin/debootstrap") ? [] : PACKAGES;
  if (missing.length === 0) return;
  console.log(`Installing ${missing.join(" and ")}`);
  await run(["apt-get", "update"]);
  await run(["apt-get", "install", "--yes", "--no-install-recommends", ...missing]);
}

/** Makes the kernel start arm64 programs through the emulator, for the children of the edge too. */
async function registerEmulator(): Promise<void> {
  if (!existsSync(`${BINFMT}/register`)) await run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT]);
  if (existsSync(`${BINFMT}/qemu-aarch64`)) return;
  const rules = (await readFile(BINFMT_RULE, "utf8")).split("\n");
  await writeFile(`${BINFMT}/register`, rules.find((line) => line.startsWith(":")) ?? "");
}

async function makeRoot(): Promise<void> {
  console.log(`Making an arm64 root of Debian ${RELEASE}: this is done once and takes some minutes`);
  const work = `${ROOT}.new`;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  await run(["debootstrap", "--arch=arm64", "--variant=minbase", "--foreign", RELEASE, work]);
  await run(["chroot", work, "/debootstrap/debootstrap", "--second-stage"]);
  await mkdir(join(work, ROOT, ".."), { recursive: true });
  await symlink("/", join(work, ROOT));
  await rename(work, ROOT);
}

async function run(command: readonly string[]): Promise<void> {
  const { exitCode, output } = await runTool(command, { env: { DEBIAN_FRONTEND: "noninteractive" } });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} failed with code ${exitCode}:\n${output.slice(-4000)}`);
}
