import type { EdgeProcess } from "../support/processes.ts";
import { readReadings, WEATHER_PATH } from "../support/readings.ts";
import { findDatabaseProcesses, findDescendants, readWrittenBytes } from "../support/server-processes.ts";
import { waitFor } from "../support/wait-for.ts";
import { withBenchSite } from "./bench-site.ts";
import { checkpoint, countOutboxRows, readOutboxBytes } from "./database.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const CLIENTS = 8;
const BACKLOG_PER_SECOND = 8_000;
/** More than one round of merging takes. */
const BACKLOG_MESSAGES = 480_000;
const BACKLOG_MESSAGES_QUICK = 40_000;
/** Rows are merged to about 4,096 messages each; less than so many that came last stay as they are. */
const MERGED_ROWS_MAX = 1_000;
const DISK_PER_SECOND = 1_000;
const DISK_SECONDS = 120;
const DISK_SECONDS_QUICK = 10;
const SAMPLE_MS = 500;

/** What a waiting message takes on disk: the outbox with its indexes, a minute after the cloud went away, once small rows are merged. */
export const backlogBytes: Measure = {
  figures: { backlog_bytes_per_msg: "bytes" },
  async runOnce({ quick }) {
    const messages = quick ? BACKLOG_MESSAGES_QUICK : BACKLOG_MESSAGES;
    return await withBenchSite(CLIENTS, async ({ cloud, devices, edge }) => {
      await cloud.stop();
      await publish(
        edge,
        devices.map(({ token }) => token),
        { messages, perSecond: BACKLOG_PER_SECOND },
      );
      const isMerged = async (): Promise<boolean> => (await countOutboxRows(edge.dataDir)) <= MERGED_ROWS_MAX;
      await waitFor("small rows to be merged", isMerged, { deadlineMs: 60_000, intervalMs: 500 });
      return { backlog_bytes_per_msg: (await readOutboxBytes(edge.dataDir)) / messages };
    });
  },
};

/**
 * Bytes that all processes of a connected edge write to storage for a message, at 1,000 messages a second: from one checkpoint to
 * the end of the next, so that the pages themselves count as well as the log that protects them.
 */
export const diskBytes: Measure = {
  figures: { disk_bytes_per_msg: "bytes" },
  async runOnce({ quick }) {
    const messages = DISK_PER_SECOND * (quick ? DISK_SECONDS_QUICK : DISK_SECONDS);
    return await withBenchSite(CLIENTS, async ({ devices, edge }) => {
      await checkpoint(edge.dataDir);
      const written = watchWrites(edge);
      await publish(
        edge,
        devices.map(({ token }) => token),
        { messages, perSecond: DISK_PER_SECOND },
      );
      await checkpoint(edge.dataDir);
      return { disk_bytes_per_msg: written.stop() / messages };
    });
  },
};

interface Load {
  readonly messages: number;
  /** Of all clients together. */
  readonly perSecond: number;
}

/** Real readings with times of now; every client begins at another place of the series. */
async function publish(edge: EdgeProcess, tokens: readonly string[], { messages, perSecond }: Load): Promise<void> {
  const readings = await readReadings(WEATHER_PATH);
  const firstTsMs = Date.now();
  const payload = (client: number, ts: number): string => {
    const reading = readings[(client * 1_000 + ts - firstTsMs) % readings.length];
    return JSON.stringify({ ts, values: reading?.values });
  };
  await runMqttLoad({
    port: Number(new URL(edge.addresses.mqtt).port),
    tokens,
    messagesPerClient: messages / tokens.length,
    perSecond: perSecond / tokens.length,
    firstTsMs,
    payload,
  });
}

/** Counts from now on. Processes come and go meanwhile: each counts with the last that was seen of it. */
function watchWrites(edge: EdgeProcess): { stop(): number } {
  const before = new Map<number, number>();
  const after = new Map<number, number>();
  const look = (): Set<number> => new Set([...findDescendants(edge.pid), ...findDatabaseProcesses(edge.dataDir)]);
  for (const pid of look()) before.set(pid, readWrittenBytes(pid));
  const sample = (): void => {
    for (const pid of look()) after.set(pid, Math.max(after.get(pid) ?? 0, readWrittenBytes(pid)));
  };
  const sampling = setInterval(sample, SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(sampling);
      sample();
      return [...after].reduce((sum, [pid, bytes]) => sum + bytes - (before.get(pid) ?? 0), 0);
    },
  };
}
