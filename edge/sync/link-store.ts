import { createUuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import type { Ack, Welcome } from "../../shared/sync/frames.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { answerDigest } from "../store/digest-answer.ts";
import type { DownlinkDeps } from "../store/downlink-apply.ts";
import { applyDownlinks } from "../store/downlink-apply.ts";
import { recallDownlinkRejections } from "../store/downlink-rejections.ts";
import type { GroupCommit } from "../store/group-commit.ts";
import type { Outbox } from "../store/outbox.ts";
import type { ParkedItems } from "../store/parked-items.ts";
import { readSite, readStoreId, renewStore, saveSettings, saveSite } from "../store/site-store.ts";
import type { LinkStore } from "./link.ts";

export interface LinkStoreDeps extends DownlinkDeps {
  readonly db: Queryable;
  readonly outbox: Outbox;
  readonly parked: Pick<ParkedItems, "replayHopeful">;
  readonly blobs: BlobStore;
  readonly groupCommit: GroupCommit;
  readonly metrics: Pick<Metrics, "counter">;
  /** Changes that came from the cloud were committed. */
  readonly onEffects: (effects: readonly Change[]) => void;
  /** What the cloud sets for this edge was committed. */
  readonly onSettings: (settings: EdgeSettings) => void;
}

/** The stores of the edge in the form that the link uses. What they throw is an AppError, as its text goes to the peer. */
export function createLinkStore(deps: LinkStoreDeps): LinkStore {
  const { groupCommit, outbox, parked } = deps;
  const rejected = deps.metrics.counter("skerry_uplinks_rejected_total", ["lane"]);
  const answered = deps.metrics.counter("skerry_downlinks_applied_total", ["result"]);
  return {
    greeting: () => orDatabaseError(readGreeting(deps)),
    renewStore: () => orDatabaseError(renewStore(deps.db, createUuid(deps.clock, deps.random))),
    isSame: (item) => orDatabaseError(outbox.isSame(item)),
    answerDigest: (question) => orDatabaseError(answerDigest(deps.db, question)),
    welcome: async (welcome, committed) => {
      for (const lane of UPLINK_LANES) await orDatabaseError(outbox.keepCommitted(lane, committed[lane]));
      // Through the one writer: a work under way belongs to one tenant or the other, never to both.
      const missedAcks = await groupCommit.run(async (tx) => ({ result: await takeOver(tx, welcome), changes: [] }));
      if (welcome.settings !== null) deps.onSettings(welcome.settings);
      await orDatabaseError(parked.replayHopeful(welcome.cloudVersion));
      return { missedAcks };
    },
    keepSettings: async (settings) => {
      const work = async (tx: Queryable) => ({ result: await saveSettings(tx, settings), changes: [] });
      await orDatabaseError(groupCommit.run(work));
      deps.onSettings(settings);
    },
    read: (lane, request) => orDatabaseError(outbox.read(lane, request)),
    settle: async (lane, settled) => {
      await orDatabaseError(outbox.settle(lane, settled));
      rejected.inc({ lane }, settled.rejections.length);
    },
    blobs: {
      open: (ref) => orDatabaseError(deps.blobs.open(ref)),
      write: (chunks) => orDatabaseError(deps.blobs.write(chunks)),
      read: (range) => orDatabaseError(deps.blobs.read(range)),
    },
    applyDownlinks: async (batches) => {
      const { effects, rejections } = await orDatabaseError(applyDownlinks(groupCommit, deps, batches));
      deps.onEffects(effects);
      const items = batches.reduce((sum, { count }) => sum + count, 0);
      answered.inc({ result: "rejected" }, rejections.length);
      answered.inc({ result: "applied" }, items - rejections.length);
      return rejections;
    },
  };
}

async function readGreeting({ db, outbox }: LinkStoreDeps): Promise<Awaited<ReturnType<LinkStore["greeting"]>>> {
  const lanes = await Promise.all(UPLINK_LANES.map(async (lane) => ({ lane, ...(await outbox.range(lane)) })));
  const { cloudId, downlinkApplied, downlinkTag } = await readSite(db);
  return { storeId: await readStoreId(db), lanes, cloudId, downlinkApplied, downlinkTag };
}

/** Who this edge is, and where its downlinks go on. @returns the acks that the cloud has missed */
async function takeOver(tx: Queryable, welcome: Welcome): Promise<readonly Ack[]> {
  const before = await readSite(tx);
  await saveSite(tx, {
    edgeId: welcome.edgeId,
    tenantId: welcome.tenantId,
    name: welcome.edgeName,
    type: welcome.edgeType,
    cloudId: welcome.cloudId,
    downlinkApplied: welcome.downlinkResume,
  });
  if (welcome.settings !== null) await saveSettings(tx, welcome.settings);
  return recallDownlinkRejections(tx, {
    ackedSeq: welcome.downlinkAcked,
    applied: welcome.downlinkResume,
    continues: before.cloudId === welcome.cloudId && before.downlinkApplied === welcome.downlinkResume,
  });
}
