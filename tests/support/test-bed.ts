/**
 * Where a test, the demo and the bench get their processes from: one temporary folder, everything that was started in it,
 * and one place that ends all of it, last started first, whatever happened in between.
 */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { waitForLink } from "./edge-status.ts";
import { connectDevice, type MqttDevice } from "./mqtt-device.ts";
import {
  startCloud,
  startEdge,
  type CloudOptions,
  type CloudProcess,
  type EdgeOptions,
  type EdgeProcess,
} from "./processes.ts";
import { connectToCloud, connectToEdge, type EdgeRecord, type RestClient } from "./rest-client.ts";
import { within } from "./wait-for.ts";

/** A cloud, an edge record in it and the running edge that speaks for it. */
export interface Site {
  readonly cloud: CloudProcess;
  readonly cloudApi: RestClient;
  readonly edge: EdgeProcess;
  readonly edgeApi: RestClient;
  readonly record: EdgeRecord;
  readonly edgeId: string;
}

export interface TestBed extends AsyncDisposable {
  /** Readable for every user, so that a database server with a uid of its own gets through. */
  readonly dir: string;
  /** A new empty folder below `dir`. */
  createFolder(name: string): Promise<string>;
  startCloud(options?: Partial<CloudOptions>): Promise<CloudProcess>;
  startEdge(options?: Partial<EdgeOptions>): Promise<EdgeProcess>;
  /** A new edge record in `cloud` and its edge; waits until it is connected. */
  startSite(cloud: CloudProcess, options?: Partial<EdgeOptions>): Promise<Site>;
  connectDevice(edge: EdgeProcess, token: string): Promise<MqttDevice>;
  /** Hands `resource` over to the bed. */
  use<T extends AsyncDisposable>(resource: T): T;
  /** The last lines that every process of the bed wrote. */
  logs(): string;
  /** Everything that any process wrote, for what must not be in it. */
  fullLogs(): string;
}

const LOG_TAIL_CHARACTERS = 8000;
const LIMIT_MS = 110_000;

export interface ScenarioOptions {
  /** Below the limit of the test runner, which would give no logs. @default 110_000 */
  readonly limitMs?: number;
  /** A bed of the whole file, whose logs are shown as well. */
  readonly shared?: TestBed;
}

/** Runs `body` with a bed of its own. When it fails or is not done in time, the logs of the processes go to standard error. */
export async function withTestBed<T>(body: (bed: TestBed) => Promise<T>, options: ScenarioOptions = {}): Promise<T> {
  await using bed = await createTestBed();
  try {
    return await within("the test to end", options.limitMs ?? LIMIT_MS, body(bed));
  } catch (error) {
    console.error(`${options.shared?.logs() ?? ""}\n${bed.logs()}`);
    throw error;
  }
}

export async function createTestBed(): Promise<TestBed> {
  const dir = await mkdtemp(join(tmpdir(), "skerry-test-"));
  await chmod(dir, 0o755);
  const stack = new AsyncDisposableStack();
  const programs: (CloudProcess | EdgeProcess)[] = [];
  let folders = 0;

  const killAll = (): void => programs.forEach((program) => program.killNow());
  process.on("exit", killAll);
  stack.defer(async () => {
    process.off("exit", killAll);
    await rm(dir, { recursive: true, force: true });
  });

  const createFolder = async (name: string): Promise<string> => {
    folders += 1;
    const path = join(dir, `${name}-${folders}`);
    await mkdir(path);
    await chmod(path, 0o755);
    return path;
  };
  const dataDirFor = async (name: string): Promise<string> => join(await createFolder(name), "data");
  const keep = <T extends CloudProcess | EdgeProcess>(program: T): T => {
    programs.push(program);
    return stack.use(program);
  };
  const startEdgeHere = async (options: Partial<EdgeOptions> = {}): Promise<EdgeProcess> =>
    keep(await startEdge({ ...options, dataDir: options.dataDir ?? (await dataDirFor("edge")) }));

  return {
    dir,
    createFolder,
    startCloud: async (options = {}) =>
      keep(await startCloud({ ...options, dataDir: options.dataDir ?? (await dataDirFor("cloud")) })),
    startEdge: startEdgeHere,
    async startSite(cloud, options = {}) {
      const cloudApi = connectToCloud(cloud);
      folders += 1;
      const record = await cloudApi.createEdge(`Edge ${folders} of ${basename(dir)}`);
      const edge = await startEdgeHere({
        cloudUrl: cloud.addresses.rpc,
        edgeKey: record.routingKey,
        secret: record.secret,
        ...options,
      });
      await waitForLink(edge);
      return { cloud, cloudApi, edge, edgeApi: connectToEdge(edge), record, edgeId: record.id.id };
    },
    connectDevice: async (edge, token) => stack.use(await connectDevice(edge.addresses.mqtt, token)),
    use: (resource) => stack.use(resource),
    logs: () =>
      programs
        .map((program) => `--- ${program.name} in ${program.dataDir}\n${program.log().slice(-LOG_TAIL_CHARACTERS)}`)
        .join("\n"),
    fullLogs: () => programs.map((program) => program.log()).join("\n"),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
