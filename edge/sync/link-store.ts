import type { Change } from "../../shared/entities/change.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Ack, Welcome } from "../../shared/sync/frames.ts";
import { UPLINK_LANES } from "../../shared/sync/frames.ts";
import type { DownlinkDeps } from "../store/downlink-apply.ts";
import { applyDownlinks } from "../store/downlink-apply.ts";
import { recallDownlinkRejections } from "../store/downlink-rejections.ts";
import type { GroupCommit } from "../store/group-commit.ts";
import type { Outbox } from "../store/outbox.ts";
import type { ParkedItems } from "../store/parked-items.ts";
import { readSite, saveSite } from "../store/site-store.ts";
import type { LinkStore } from "./link.ts";

export interface LinkStoreDeps extends DownlinkDeps {
  readonly db: Queryable;
  readonly outbox: Outbox;
  readonly parked: Pick<ParkedItems, "replayUnsupported">;
  readonly groupCommit: GroupCommit;
  /** Changes that came from the cloud were committed. */
  readonly onEffects: (effects: readonly Change[]) => void;
}

/** The stores of the edge in the form that the link uses. */
export function createLinkStore(deps: LinkStoreDeps): LinkStore {
  const { db, groupCommit, outbox, parked } = deps;
  return {
    greeting: async () => {
      const ranges = await Promise.all(
        UPLINK_LANES.map(async (lane) => {
          return { lane, ...(await outbox.range(lane)) };
        }),
      );
      const { cloudId, downlinkApplied } = await readSite(db);
      return { lanes: ranges, cloudId, downlinkApplied };
    },
    welcome: async (welcome) => {
      const ackedSeq = await outbox.lowerCursors(welcome.watermarks);
      // Through the one writer: a work under way belongs to one tenant or the other, never to both.
      const missedAcks = await groupCommit.run(async (tx) => ({ result: await takeOver(tx, welcome), changes: [] }));
      await parked.replayUnsupported(welcome.cloudVersion);
      return { ackedSeq, missedAcks };
    },
    read: (lane, request) => outbox.read(lane, request),
    settle: (lane, seq, rejections, nowMs) => outbox.settle(lane, { seq, rejections, nowMs }),
    applyDownlinks: async (batches) => {
      const { effects, rejections } = await applyDownlinks(groupCommit, deps, batches);
      deps.onEffects(effects);
      return rejections;
    },
  };
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
  return recallDownlinkRejections(tx, {
    ackedSeq: welcome.downlinkAcked,
    applied: welcome.downlinkResume,
    continues: before.cloudId === welcome.cloudId && before.downlinkApplied === welcome.downlinkResume,
  });
}
