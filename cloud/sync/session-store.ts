import type { BlobRef, Hasher } from "../../shared/core/blob-ref.ts";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { createToken } from "../../shared/core/random.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError, orDatabaseError } from "../../shared/postgres/connect.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { createBlobStore, hasBlob } from "../../shared/store/blob-store.ts";
import { contentNamedBy } from "../../shared/store/blob-upload.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createRejection } from "../../shared/sync/rejections.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { LoadRequest } from "../../shared/sync/session-driver.ts";
import type { EncodableItem } from "../../shared/wire/changes-codec.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { takeOutLarge } from "../../shared/wire/large-changes.ts";
import { redeemClaimCode } from "../store/claim-store.ts";
import { loadPlainEntities } from "../store/downlink-ahead.ts";
import { loadEntityChanges } from "../store/downlink-source.ts";
import { readOutgoing, runTransaction, type DownlinkRow } from "../store/downlink-store.ts";
import { isDeletedEdge, noteRefusal } from "../store/edge-report-store.ts";
import { findEdgeByCredentials, openSession, settleDownlinks } from "../store/edge-session-store.ts";
import { takeEdgeSettings } from "../store/edge-settings.ts";
import { completeRound, readCloudDigest, readSyncRequests, repairDifferences } from "../store/reconcile-store.ts";
import { applyUplink } from "../store/uplink-apply.ts";
import { createRepeatFilter } from "./repeat-filter.ts";
import type { EdgeCaller, LoadedDownlinks, SessionStore } from "./service.ts";
import type { SessionEnds } from "./session-ends.ts";
import { UnreadableDownlinks } from "./unreadable-downlinks.ts";

/** Rows whose entities are read side by side. */
const LOADS_AT_ONCE = 8;
/** Rows whose entities are read together when they are plain ones. */
const AHEAD_ROWS_MAX = 256;
/** Bodies of entities compress to about a fourth. */
const COMPRESSION_RATIO = 4;
/** A change of this size takes several times as much. */
const COLLECTED_BYTES_MIN = 4 * 1024 * 1024;
/** Downlink rows in one frame: a frame is built from the entities as they are when it is read. */
const DOWNLINK_ROWS_MAX = 500;

export interface SessionStoreDeps extends StoreDeps {
  readonly db: Queryable;
  /** For what is sent: many short questions. */
  readonly sendDb: Queryable;
  readonly cloudId: Uuid;
  readonly replicaId: Uuid;
  readonly cloudVersion: string;
  readonly hashEdgeSecret: (routingKey: string, secret: string) => string;
  /** SHA-256. */
  readonly createHasher: () => Hasher;
  /** The largest content that is taken from an edge. */
  readonly blobBytesMax: number;
  /** Downlinks were committed for these edges. */
  readonly onDownlinks: (edgeIds: readonly Uuid[]) => void;
  /** Telemetry of these entities was committed; must not throw. @default nobody hears of it */
  readonly onTelemetry?: (entityIds: readonly Uuid[]) => void;
  /** What an edge changed was committed; must not throw. @default nobody hears of it */
  readonly onEffects?: (effects: readonly Change[]) => void;
  readonly ends: Pick<SessionEnds, "store">;
  readonly log: Log;
  /** Before a change of some MB is kept: what making its bytes left would lie beside them. @default nothing */
  readonly collectGarbage?: () => void;
}

/** The stores of the cloud in the form that sessions use. What they throw is an AppError: its text goes to the peer. */
export function createSessionStore(deps: SessionStoreDeps): SessionStore {
  const { clock, db, hashEdgeSecret, log } = deps;
  const note = (who: Parameters<typeof noteRefusal>[1], { code, message }: AppError): void =>
    void noteRefusal(db, who, { code, text: message, nowMs: clock.nowMs() }).catch((error: unknown) =>
      log.debug("A refusal is not written down", { error }),
    );
  // Hashing something for unknown keys too keeps the answer's time from telling which keys exist.
  const nobody = createToken(deps.random, 20);
  const unreadable = new UnreadableDownlinks();
  const blobsOf = (ownerId: Uuid): BlobStore => createBlobStore(deps, { ownerId, bytesMax: deps.blobBytesMax });
  return {
    authenticate: async (routingKey, secret) => {
      const secretHash = hashEdgeSecret(routingKey || nobody, secret);
      const account = await orDatabaseError(
        findEdgeByCredentials(db, { routingKey, secretHash, nowMs: clock.nowMs() }),
      );
      if (account !== null) return account;
      if (await orDatabaseError(isDeletedEdge(db, routingKey, secretHash))) {
        throw new AppError("NOT_FOUND", "The edge was deleted in the cloud");
      }
      const error = new AppError("UNAUTHENTICATED", "The cloud knows no edge with this key and secret");
      // Not waited for: the time of the answer must not tell whether the key exists.
      note({ routingKey }, error);
      throw error;
    },
    enroll: (claim) => orDatabaseError(runTransaction(db, (tx) => redeemClaimCode(tx, deps, claim))),
    open: (caller, hello) => orDatabaseError(openSession(db, caller, hello, deps)),
    noteRefusal: (edgeId, error) => note({ edgeId }, error),
    close: (edgeId, session, reason) => deps.ends.store(edgeId, { session, reason, nowMs: clock.nowMs() }),
    applyUplink: async (source, batches) => {
      const uplinkDeps = { ...deps, blobs: blobsOf(source.edgeId) };
      const origin = { ...source, edgeName: source.name, cloudVersion: deps.cloudVersion };
      const applied = await applyUplink(db, uplinkDeps, { origin, batches });
      if (applied.edgeIds.length > 0) deps.onDownlinks(applied.edgeIds);
      deps.onEffects?.(applied.effects);
      return applied.rejections;
    },
    readDownlinks: (caller, request) =>
      orDatabaseError(readDownlinkBatch({ ...deps, unreadable, blobs: blobsOf(caller.tenantId) }, caller, request)),
    takeSettings: (edgeId, session) => orDatabaseError(takeEdgeSettings(db, edgeId, session)),
    blobs: ({ edgeId, tenantId }) => {
      const received = blobsOf(edgeId);
      const made = blobsOf(tenantId);
      const ofSystem = blobsOf(NULL_UUID);
      return {
        open: (ref) => orDatabaseError(received.open(ref)),
        write: (chunks) => orDatabaseError(received.write(chunks)),
        read: async (range) => (await orDatabaseError(made.read(range))) ?? orDatabaseError(ofSystem.read(range)),
      };
    },
    readDigest: (edgeId) => orDatabaseError(readCloudDigest(db, edgeId)),
    repair: async (edgeId, entries, isNew) => {
      const repairing = repairDifferences(db, { edgeId, entries }, { nowMs: clock.nowMs(), isNew });
      const repaired = await orDatabaseError(repairing);
      if (repaired.isRecorded) deps.onDownlinks([edgeId]);
      return repaired.found;
    },
    completeRound: (edgeId, result) => orDatabaseError(completeRound(db, edgeId, { ...result, nowMs: clock.nowMs() })),
    settleDownlinks: async (edgeId, session, seq, refused) => {
      const rejections = [...refused, ...unreadable.passed(edgeId, seq)];
      await orDatabaseError(settleDownlinks(db, { edgeId, session, seq, rejections, nowMs: clock.nowMs() }));
      unreadable.settle(edgeId, seq);
    },
  };
}

interface DownlinkReader extends Pick<
  SessionStoreDeps,
  "collectGarbage" | "db" | "sendDb" | "clock" | "log" | "cloudVersion"
> {
  readonly blobs: BlobStore;
  readonly unreadable: UnreadableDownlinks;
}

/** Rows name entities; what is sent is their state of now, which never is older than the row. */
async function readDownlinkBatch(
  reader: DownlinkReader,
  caller: EdgeCaller,
  request: LoadRequest,
): Promise<LoadedDownlinks> {
  const { blobs, clock, db, sendDb } = reader;
  const limit = Math.min(request.itemsMax, DOWNLINK_ROWS_MAX);
  const { heardSeq, rows } = await readOutgoing(sendDb, caller.edgeId, { afterSeq: request.afterSeq, limit });
  const [first] = rows;
  if (first === undefined) {
    // Woken for something else, maybe.
    const { requested, completed, hasNewSettings } = await readSyncRequests(sendDb, caller.edgeId);
    return { batches: [], drained: true, roundRequest: requested > completed ? requested : null, hasNewSettings };
  }
  const items: EncodableItem[] = [];
  const withoutRepeats = createRepeatFilter();
  const nowMs = clock.nowMs();
  let bytes = 0;
  let named: readonly BlobRef[] = [];
  let ahead: Ahead = { end: 0, plain: new Map() };
  const bytesMax = Math.min(request.bytesMax, request.frameBytesMax) * COMPRESSION_RATIO;
  for (let next = 0; next < rows.length && bytes <= bytesMax && named.length === 0; next += LOADS_AT_ONCE) {
    if (next >= ahead.end) ahead = await lookAhead(reader, caller.edgeId, { rows, next });
    const { plain } = ahead;
    const part = rows.slice(next, next + LOADS_AT_ONCE);
    const loaded = await Promise.all(part.map((row) => loadRow(reader, row, { plain, nowMs })));
    for (const [index, read] of loaded.entries()) {
      const row = part[index];
      // A repair says all, so that the edge knows what is not said.
      const isRepair = row?.body?.["repair"] === true;
      const changes = isRepair ? read : withoutRepeats(read);
      const sent = await takeOutLarge(changes, (content) => {
        if (content.length >= COLLECTED_BYTES_MIN) reader.collectGarbage?.();
        return db.transaction((tx) => blobs.put(tx, content));
      });
      const contents = [...sent.blobs, ...(await namedContents(sendDb, caller.tenantId, changes))];
      // An item that waits for its contents goes alone, so that it holds up none before it.
      if (contents.length > 0 && items.length > 0) {
        bytes = Infinity;
        break;
      }
      items.push({ changedMs: row?.createdMs ?? 0, changes: sent.changes, isRepair });
      named = contents;
      if (named.length > 0) break;
      bytes += changes.reduce((sum, change) => sum + ("body" in change ? change.body.length : 200), 0);
    }
  }
  const payload = compress(encodeItems(items));
  const batch: OutgoingBatch = {
    type: "batch",
    lane: "downlink",
    firstSeq: first.seq,
    count: items.length,
    configSeq: 0,
    blobs: named,
    tag: rows[items.length - 1]?.id,
    heardSeq,
    ...payload,
  };
  const drained = rows.length < limit && items.length === rows.length;
  return { batches: [batch], drained, roundRequest: null, hasNewSettings: false };
}

/** What was read of rows up to `end`. */
interface Ahead {
  readonly end: number;
  readonly plain: ReadonlyMap<number, readonly Change[]>;
}

/** More with each look: a slow link takes few rows at a time. */
async function lookAhead(
  { sendDb }: DownlinkReader,
  edgeId: Uuid,
  { rows, next }: { readonly rows: readonly DownlinkRow[]; readonly next: number },
): Promise<Ahead> {
  const end = next + Math.max(LOADS_AT_ONCE, Math.min(next * 3, AHEAD_ROWS_MAX));
  // One that can't be read is found when each is read by itself.
  const plain = await loadPlainEntities(sendDb, edgeId, rows.slice(next, end)).catch(() => new Map<number, Change[]>());
  return { end, plain };
}

/** Nothing for an entity that can't be read, whatever the reason: the others don't wait for it. */
async function loadRow(
  { cloudVersion, log, sendDb, unreadable }: DownlinkReader,
  row: DownlinkRow,
  { nowMs, plain }: { readonly nowMs: number; readonly plain: Ahead["plain"] },
): Promise<readonly Change[]> {
  const { edgeId, entityId, seq, type } = row;
  try {
    const changes = plain.get(seq) ?? (await loadEntityChanges(sendDb, row, nowMs));
    unreadable.forget(edgeId, seq);
    return changes;
  } catch (thrown) {
    const error = databaseError(thrown);
    if (error.retryable) throw error;
    log.error("A downlink can't be read; the edge goes on without it", { edgeId, seq, type, entityId, error });
    const text = `The cloud can't read it: ${error.message}`;
    unreadable.note(edgeId, createRejection(seq, { code: "ITEM_UNREADABLE", text }, cloudVersion));
    return [];
  }
}

/** Files of entities, of the tenant or of the system: they go ahead of the record that names them. One that is not here is refused by the edge. */
async function namedContents(db: Queryable, tenantId: Uuid, changes: readonly Change[]): Promise<readonly BlobRef[]> {
  const contents: BlobRef[] = [];
  for (const change of changes) {
    const content = contentNamedBy(change);
    if (content === null) continue;
    if ((await hasBlob(db, tenantId, content)) || (await hasBlob(db, NULL_UUID, content))) contents.push(content);
  }
  return contents;
}
