import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { BlobRef } from "../../shared/core/blob-ref.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { removeUnusedBlobs, UNUSED_KEPT_MS } from "../../shared/store/blob-store.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import { FrameQueue } from "../../shared/sync/frame-queue.ts";
import type { Batch, Frame } from "../../shared/sync/frames.ts";
import type { BlobPorts, RoundPorts, SessionHandle, SessionPorts } from "../../shared/sync/session-driver.ts";
import { driveSession } from "../../shared/sync/session-driver.ts";
import { startCloudSession, startEdgeSession } from "../../shared/sync/session.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { CLOUD_OPENING, EDGE_OPENING, HELLO, ID, outgoing } from "../unit/sync-values.ts";

// Contents as large as firmware, from store to store through two sessions.

const MIB = 1024 * 1024;
const LARGE_BYTES = 128 * MIB;
const WINDOW = { bytes: 4 * MIB, items: 100 } as const;
/** Of both ends together: the same for contents of 400 MiB, and less than with one content whole on one end. */
const MEMORY_BYTES_MAX = 192 * MIB;

let postgres: TestPostgres;
let sender: TestDatabase;
let receiver: TestDatabase;
beforeAll(async () => {
  postgres = await startTestPostgres();
  sender = await postgres.createDatabase("edge");
  receiver = await postgres.createDatabase("cloud");
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

/** A content that nobody holds whole: the same piece again and again, numbered. */
async function makeLarge(database: TestDatabase, bytes: number): Promise<BlobRef> {
  const piece = (offset: number): Uint8Array => {
    const words = new Uint32Array((256 * 1024) / 4);
    for (let index = 0; index < words.length; index += 1) words[index] = Math.imul(index ^ offset, 2_654_435_761);
    return new Uint8Array(words.buffer);
  };
  const hasher = createSha256();
  for (let offset = 0; offset < bytes; offset += 256 * 1024) hasher.update(piece(offset));
  const blob: BlobRef = { sha256: hasher.digest(), bytes };
  const store = createTestBlobs(database);
  await store.open(blob);
  for (let offset = 0; offset < bytes; offset += 256 * 1024)
    await store.write({ blob, offset, chunks: [piece(offset)] });
  return blob;
}

interface Transfer {
  readonly received: Promise<void>;
  readonly chunkBytes: () => number;
  /** Both ends lose each other. */
  cut(): Promise<void>;
}

/** A session whose only item names the content; `received` once the cloud applies the item. */
function startTransfer(blob: BlobRef, from: BlobPorts, to: BlobPorts): Transfer {
  const received = Promise.withResolvers<void>();
  const [up, down] = [new FrameQueue(), new FrameQueue()];
  let bytes = 0;
  const rounds: RoundPorts = {
    role: "edge",
    answer: ({ round }) => Promise.resolve({ type: "digest-diff", round, types: [] }),
  };
  const idle = { apply: () => Promise.resolve([]), settle: () => Promise.resolve(), rounds };
  const nothing = () => Promise.resolve({ batches: [], drained: true });
  const edgePorts: SessionPorts = {
    ...idle,
    open: () => Promise.resolve({ ...EDGE_OPENING, window: WINDOW }),
    load: ({ lane, afterSeq }) =>
      lane === "config" && afterSeq === 0
        ? Promise.resolve({
            batches: [{ ...outgoing({ lane: "config", firstSeq: 1, count: 1 }), blobs: [blob] }],
            drained: false,
          })
        : nothing(),
    blobs: from,
  };
  const cloudPorts: SessionPorts = {
    ...idle,
    open: () =>
      Promise.resolve({
        ...CLOUD_OPENING,
        window: WINDOW,
        welcome: CLOUD_OPENING.welcome === null ? null : { ...CLOUD_OPENING.welcome, window: WINDOW },
        receiving: [{ lane: "config", course: inOrderFrom(1) }],
      }),
    load: nothing,
    apply: (_lane, _batches: readonly Batch[]) => {
      received.resolve();
      return Promise.resolve([]);
    },
    blobs: to,
  };
  const start = (
    first: Parameters<typeof driveSession>[0],
    ports: SessionPorts,
    incoming: FrameQueue,
    out: FrameQueue,
  ) =>
    driveSession(first, {
      transport: {
        incoming,
        send: (frame: Frame) => {
          if (frame.type === "chunk") bytes += frame.content.length;
          out.push(frame);
        },
        close: () => out.close(),
      },
      ports,
      clock: systemClock,
      log: silentLog,
    });
  const nowMs = systemClock.monotonicMs();
  const handles: readonly SessionHandle[] = [
    start(startCloudSession(nowMs), cloudPorts, up, down),
    start(startEdgeSession(HELLO, nowMs), edgePorts, down, up),
  ];
  return {
    received: received.promise,
    chunkBytes: () => bytes,
    cut: async () => {
      for (const handle of handles) handle.stop("LINK_DOWN", "cut");
      await Promise.all(handles.map((handle) => handle.ended));
    },
  };
}

function after(store: BlobStore, offset: number, reached: () => void): BlobPorts {
  return {
    open: (blob) => store.open(blob),
    read: (range) => store.read(range),
    write: (chunks) => {
      if (chunks.offset >= offset) reached();
      return store.write(chunks);
    },
  };
}

describe("a content of 128 MiB", () => {
  test("arrives whole, goes on where it was cut, and is never in memory whole", async () => {
    const blob = await makeLarge(sender, LARGE_BYTES);
    const from = createTestBlobs(sender);
    const to = createTestBlobs(receiver, ID);
    Bun.gc(true);
    const startBytes = process.memoryUsage().rss;
    let peakBytes = startBytes;
    const timer = setInterval(() => {
      peakBytes = Math.max(peakBytes, process.memoryUsage().rss);
    }, 20);
    const half = Promise.withResolvers<void>();
    const first = startTransfer(blob, from, after(to, LARGE_BYTES / 2, half.resolve));
    await half.promise;
    await first.cut();
    const second = startTransfer(blob, from, to);
    await second.received;
    await second.cut();
    clearInterval(timer);
    const sentBytes = first.chunkBytes() + second.chunkBytes();
    expect(sentBytes).toBeGreaterThanOrEqual(LARGE_BYTES);
    expect(sentBytes).toBeLessThanOrEqual(LARGE_BYTES + WINDOW.bytes);
    expect(await to.open(blob)).toEqual({ offset: LARGE_BYTES, isDone: true });
    expect(peakBytes - startBytes).toBeLessThan(MEMORY_BYTES_MAX);
  }, 110_000);
});

describe("createBlobStore()", () => {
  const bytes = new Uint8Array(700_000).map((_, index) => index % 251);

  test("goes on where it ended, whatever a session before brought meanwhile", async () => {
    const blob = await sender.db.transaction((tx) => createTestBlobs(sender).put(tx, bytes));
    const store = createTestBlobs(receiver);
    expect(await store.open(blob)).toEqual({ offset: 0, isDone: false });
    await store.write({ blob, offset: 0, chunks: [bytes.subarray(0, 100_000), bytes.subarray(100_000, 200_000)] });
    expect(await store.open(blob)).toEqual({ offset: 200_000, isDone: false });
    await store.write({ blob, offset: 150_000, chunks: [bytes.subarray(150_000, 300_000)] });
    expect(await store.write({ blob, offset: 300_000, chunks: [bytes.subarray(300_000)] })).toEqual({ isDone: true });
    expect(await store.readWhole(receiver.db, blob, bytes.length)).toEqual(bytes);
    expect(await store.readWhole(receiver.db, blob, bytes.length - 1)).toBeNull();
    const range = await store.read({ blob, offset: 250_000, bytesMax: 10 });
    expect(range?.toHex()).toBe(bytes.subarray(250_000, 250_010).toHex());
  });

  test("keeps nothing of a content whose hash is another", async () => {
    const store = createTestBlobs(receiver);
    const blob: BlobRef = { sha256: "ab".repeat(32), bytes: 1_000 };
    await store.open(blob);
    expect(await store.write({ blob, offset: 0, chunks: [bytes.subarray(0, 1_000)] })).toEqual({ isDone: true });
    expect(await store.readWhole(receiver.db, blob, 1_000)).toBeNull();
    expect(await store.open(blob)).toEqual({ offset: 0, isDone: false });
  });

  test("refuses what is larger than its limit before a byte of it was sent", async () => {
    const blob: BlobRef = { sha256: "cd".repeat(32), bytes: 512 * MIB + 1 };
    expect(await createTestBlobs(receiver).open(blob)).toEqual({ offset: 0, isDone: true });
  });

  test("has nothing of another owner", async () => {
    const own = await receiver.db.transaction((tx) => createTestBlobs(receiver, ID).put(tx, bytes.subarray(7)));
    expect(await createTestBlobs(receiver).readWhole(receiver.db, own, own.bytes)).toBeNull();
    expect(await createTestBlobs(receiver).read({ blob: own, offset: 0, bytesMax: 1 })).toBeNull();
  });

  test("loses what nobody used for long, and nothing else", async () => {
    const store = createTestBlobs(receiver);
    const blob = await receiver.db.transaction((tx) => store.put(tx, bytes.subarray(9)));
    const nowMs = systemClock.nowMs();
    expect(await removeUnusedBlobs(receiver.db, nowMs)).toBe(0);
    expect(await removeUnusedBlobs(receiver.db, nowMs + UNUSED_KEPT_MS + 1_000)).toBeGreaterThan(0);
    expect(await store.readWhole(receiver.db, blob, blob.bytes)).toBeNull();
  });
});
