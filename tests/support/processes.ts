/**
 * Real processes of both ends, started as an operator starts them and talked to from outside only.
 *
 * A handle outlives its process: `restart()` starts it again on the same data directory and the same ports, so that
 * clients find it where it was.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { ensureEdgeBinary } from "./edge-binary.ts";
import { findDatabaseProcesses, findDescendants, killAll } from "./server-processes.ts";
import { PROJECT_ROOT } from "./tools.ts";
import { waitFor, within } from "./wait-for.ts";

export const ADMIN_PASSWORD = "correct horse battery";
export const CLOUD_USER = "tenant@skerry.local";
export const EDGE_USER = "admin@skerry.local";

const READY_DEADLINE_MS = 40_000;
const STOP_DEADLINE_MS = 20_000;
const LOG_CHARACTERS_MAX = 4_000_000;

export interface CloudAddresses {
  readonly http: string;
  readonly rpc: string;
}

export interface EdgeAddresses {
  readonly mqtt: string;
  readonly http: string;
  /** Absent: any. */
  readonly coap?: string;
}

export interface CloudOptions {
  readonly dataDir: string;
  /** Ports to take from the first start on. @default the system chooses */
  readonly addresses?: CloudAddresses;
  /** Folder of the source to run. @default this project */
  readonly sourceDir?: string;
  /** Beside the administrator's password. */
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

export interface EdgeOptions {
  readonly dataDir: string;
  /** Ports to take from the first start on. @default the system chooses */
  readonly addresses?: EdgeAddresses;
  /** Absent: an edge without a cloud. */
  readonly cloudUrl?: string;
  readonly edgeKey?: string;
  readonly secret?: string;
  /** Beside the password of the administrator and the secret. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the environment is empty, without even a PATH: passwords and secrets come from a file then. @default false */
  readonly emptyEnvironment?: boolean;
  readonly args?: readonly string[];
  /** Folder to start in. @default the data directory's parent */
  readonly workDir?: string;
  /** Runs as this uid and gid. @default the caller's */
  readonly uid?: number;
  /** @default the compiled edge */
  readonly program?: readonly string[];
}

export interface Program<Addresses> extends AsyncDisposable {
  readonly name: string;
  readonly dataDir: string;
  readonly pid: number;
  readonly isRunning: boolean;
  /** As the ready line gave them; the same after a restart. */
  readonly addresses: Addresses;
  /** From the start of the process to its ready line. */
  readonly startMs: number;
  /** All that the program has written so far, over all its starts. */
  log(): string;
  /** SIGTERM and the end of the program and its database; gives the exit code. */
  stop(): Promise<number>;
  /** SIGKILL of the program and of its database at once, as when the power fails. */
  kill(): Promise<void>;
  /** SIGKILL of the program alone: its PostgreSQL stays behind. */
  killProgram(): Promise<void>;
  /** SIGKILL of all PostgreSQL processes; the program lives on. */
  killDatabase(): void;
  /** SIGSTOP, or SIGCONT after it. */
  signal(part: "program" | "database", signal: "SIGSTOP" | "SIGCONT"): void;
  /** Starts it again and kills the program alone after `afterMs`, ready or not. */
  restartAndKill(afterMs: number): Promise<void>;
  /** Starts it again, same directory, same ports. */
  restart(): Promise<void>;
  /** Resolves when the process ended by itself or was ended. */
  exited(): Promise<number>;
  /** For exit hooks: ends everything without waiting. */
  killNow(): void;
}

export type CloudProcess = Program<CloudAddresses>;
export type EdgeProcess = Program<EdgeAddresses>;

/** `bun cloud/main.ts` with its own PostgreSQL. @throws Error with the log when it does not get ready */
export async function startCloud(options: CloudOptions): Promise<CloudProcess> {
  return await startProgram<CloudAddresses>({
    name: "cloud",
    dataDir: options.dataDir,
    command: [process.execPath, "cloud/main.ts", "--data-dir", options.dataDir, ...(options.args ?? [])],
    env: { PATH: "", SKERRY_ADMIN_PASSWORD: ADMIN_PASSWORD, ...options.env },
    workDir: options.sourceDir ?? PROJECT_ROOT,
    addresses: options.addresses,
    parseAddresses: (line) => ({ http: textField(line, "http"), rpc: textField(line, "rpc") }),
    portArguments: (known) => ["--http-port", portOf(known?.http), "--rpc-port", portOf(known?.rpc)],
  });
}

/** The compiled edge with an empty PATH and nothing in its environment that is not given here. */
export async function startEdge(options: EdgeOptions): Promise<EdgeProcess> {
  const program = options.program ?? [await ensureEdgeBinary()];
  return await startProgram<EdgeAddresses>({
    name: "edge",
    dataDir: options.dataDir,
    command: [...program, ...edgeArguments(options)],
    env: edgeEnvironment(options),
    workDir: options.workDir ?? join(options.dataDir, ".."),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    addresses: options.addresses,
    parseAddresses: (line) => ({
      mqtt: textField(line, "mqtt"),
      http: textField(line, "http"),
      coap: textField(line, "coap"),
    }),
    portArguments: (known) => [
      `--mqtt-port=${portOf(known?.mqtt)}`,
      `--http-port=${portOf(known?.http)}`,
      `--coap-port=${portOf(known?.coap)}`,
    ],
  });
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A start of the edge that is expected to end by itself, or one of its sub-commands. */
export async function runEdge(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly workDir: string },
): Promise<CommandResult> {
  const child = Bun.spawn([await ensureEdgeBinary(), ...args], {
    cwd: options.workDir,
    env: { PATH: "", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: READY_DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

function edgeArguments(options: EdgeOptions): string[] {
  const args = [
    "--data-dir",
    options.dataDir,
    "--mqtt-host",
    "127.0.0.1",
    "--http-host",
    "127.0.0.1",
    "--coap-host",
    "127.0.0.1",
  ];
  if (options.cloudUrl !== undefined) args.push("--cloud-url", options.cloudUrl);
  if (options.edgeKey !== undefined) args.push("--edge-key", options.edgeKey);
  return [...args, ...(options.args ?? [])];
}

function edgeEnvironment(options: EdgeOptions): Record<string, string> {
  if (options.emptyEnvironment === true) return {};
  return {
    PATH: "",
    SKERRY_ADMIN_PASSWORD: ADMIN_PASSWORD,
    ...(options.secret === undefined ? {} : { SKERRY_EDGE_SECRET: options.secret }),
    ...options.env,
  };
}

interface ProgramSpec<Addresses> {
  readonly name: string;
  readonly dataDir: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workDir: string;
  readonly uid?: number;
  readonly addresses: Addresses | undefined;
  parseAddresses(readyLine: object): Addresses;
  /** 0 lets the system choose, at the first start. */
  portArguments(known: Addresses | undefined): string[];
}

interface RunningProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<number>;
}

async function startProgram<Addresses>(spec: ProgramSpec<Addresses>): Promise<Program<Addresses>> {
  const log = createLogBuffer();
  let startMs = 0;

  const start = async (known?: Addresses): Promise<{ running: RunningProcess; addresses: Addresses }> => {
    const startedMs = performance.now();
    const { running, readyLine } = spawnProgram(spec, spec.portArguments(known), log);
    try {
      const line = await within(`the ready line of the ${spec.name}`, READY_DEADLINE_MS, readyLine);
      startMs = performance.now() - startedMs;
      return { running, addresses: spec.parseAddresses(line) };
    } catch (error) {
      killAll([...findDescendants(running.pid), ...findDatabaseProcesses(spec.dataDir)]);
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`The ${spec.name} did not get ready: ${reason}\n${log.text().slice(-6000)}`, { cause: error });
    }
  };

  let { running, addresses } = await start(spec.addresses);
  let isRunning = true;
  const watchExit = async (watched: RunningProcess): Promise<void> => {
    await watched.exited;
    if (watched === running) isRunning = false;
  };
  void watchExit(running);

  const killNow = (): void => killAll([...(isRunning ? [running.pid] : []), ...findDatabaseProcesses(spec.dataDir)]);
  const kill = async (): Promise<void> => {
    killNow();
    await running.exited;
    await waitForNoDatabase(spec.dataDir, "SIGKILL");
  };
  return {
    name: spec.name,
    dataDir: spec.dataDir,
    addresses,
    get pid() {
      return running.pid;
    },
    get isRunning() {
      return isRunning;
    },
    get startMs() {
      return startMs;
    },
    log: () => log.text(),
    exited: () => running.exited,
    killNow,
    kill,
    async stop() {
      running.child.kill("SIGTERM");
      const exitCode = await within(`the ${spec.name} to end after SIGTERM`, STOP_DEADLINE_MS, running.exited);
      await waitForNoDatabase(spec.dataDir);
      return exitCode;
    },
    async killProgram() {
      running.child.kill("SIGKILL");
      await running.exited;
    },
    killDatabase: () => killAll(findDatabaseProcesses(spec.dataDir)),
    signal: (part, signal) => killAll(part === "program" ? [running.pid] : findDatabaseProcesses(spec.dataDir), signal),
    async restartAndKill(afterMs) {
      if (isRunning) throw new Error(`Expected the ${spec.name} to be stopped before its restart`);
      ({ running } = spawnProgram(spec, spec.portArguments(addresses), log));
      await Bun.sleep(afterMs);
      running.child.kill("SIGKILL");
      await running.exited;
    },
    async restart() {
      if (isRunning) throw new Error(`Expected the ${spec.name} to be stopped before its restart`);
      ({ running, addresses } = await start(addresses));
      isRunning = true;
      void watchExit(running);
    },
    [Symbol.asyncDispose]: kill,
  };
}

/** Kills again what a dying server forks in the last moment, when a signal is given. */
async function waitForNoDatabase(dataDir: string, signal?: NodeJS.Signals): Promise<void> {
  await waitFor(`the end of the database in ${dataDir}`, () => {
    const left = findDatabaseProcesses(dataDir);
    if (signal !== undefined) killAll(left, signal);
    return left.length === 0;
  });
}

function spawnProgram<Addresses>(
  spec: ProgramSpec<Addresses>,
  portArguments: readonly string[],
  log: LogBuffer,
): { running: RunningProcess; readyLine: Promise<object> } {
  const [program = "", ...args] = [...spec.command, ...portArguments];
  const child = spawn(program, args, {
    cwd: spec.workDir,
    env: { ...spec.env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(spec.uid === undefined ? {} : { uid: spec.uid, gid: spec.uid }),
  });
  const exited = new Promise<number>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 143)));
  });
  const readyLine = new Promise<object>((resolve, reject) => {
    child.once("error", reject);
    void exited.then((code) => reject(new Error(`It ended with code ${code}`)));
    readLines(child.stdout, (line) => {
      log.add(line);
      const ready = parseReady(line);
      if (ready !== undefined) resolve(ready);
    });
  });
  // A rejection that comes when nobody waits any more, at the end of a process that was ready, is none.
  readyLine.catch(() => undefined);
  readLines(child.stderr, (line) => log.add(line));
  return { running: { child, pid: child.pid ?? -1, exited }, readyLine };
}

function parseReady(line: string): object | undefined {
  if (!line.startsWith("{")) return undefined;
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null || !("event" in value)) return undefined;
  return value.event === "ready" ? value : undefined;
}

function readLines(stream: ChildProcess["stdout"], onLine: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
  stream?.on("end", () => onLine(rest));
}

interface LogBuffer {
  add(line: string): void;
  text(): string;
}

/** The newest lines; a program that writes without end must not take the memory of the test. */
function createLogBuffer(): LogBuffer {
  let text = "";
  return {
    add(line) {
      if (line === "") return;
      text += `${line}\n`;
      if (text.length > LOG_CHARACTERS_MAX * 2) text = text.slice(-LOG_CHARACTERS_MAX);
    },
    text: () => text,
  };
}

function textField(line: object, name: string): string {
  const value: unknown = (line as Record<string, unknown>)[name];
  if (typeof value !== "string")
    throw new Error(`Expected a text "${name}" in the ready line, got ${JSON.stringify(line)}`);
  return value;
}

function portOf(url: string | undefined): string {
  return url === undefined ? "0" : new URL(url).port;
}
