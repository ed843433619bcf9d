import type { Change } from "../../shared/entities/change.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { UPLINK_LANES } from "../../shared/sync/frames.ts";
import { applyDownlinks } from "../store/downlink-apply.ts";
import type { GroupCommit } from "../store/group-commit.ts";
import type { Outbox } from "../store/outbox.ts";
import { readSite, saveSite } from "../store/site-store.ts";
import type { LinkStore } from "./link.ts";

export interface LinkStoreDeps extends StoreDeps {
  readonly db: Queryable;
  readonly outbox: Outbox;
  readonly groupCommit: GroupCommit;
  /** Changes that came from the cloud were committed. */
  readonly onEffects: (effects: readonly Change[]) => void;
}

/** The stores of the edge in the form that the link uses. What they throw is an AppError, as its text goes to the peer. */
export function createLinkStore(deps: LinkStoreDeps): LinkStore {
  const { groupCommit, outbox } = deps;
  return {
    greeting: () => orDatabaseError(readGreeting(deps)),
    welcome: (welcome) =>
      // Through the one writer: a work under way belongs to one tenant or the other, never to both.
      groupCommit.run(async (tx) => {
        await saveSite(tx, {
          edgeId: welcome.edgeId,
          tenantId: welcome.tenantId,
          name: welcome.edgeName,
          type: welcome.edgeType,
          cloudId: welcome.cloudId,
          downlinkApplied: welcome.downlinkResume,
        });
        return { result: undefined, changes: [] };
      }),
    read: (lane, request) => orDatabaseError(outbox.read(lane, request)),
    settle: (lane, seq, rejections, nowMs) => orDatabaseError(outbox.settle(lane, { seq, rejections, nowMs })),
    applyDownlinks: async (batches) => {
      const { effects, rejections } = await orDatabaseError(applyDownlinks(groupCommit, deps, batches));
      deps.onEffects(effects);
      return rejections;
    },
  };
}

async function readGreeting({ db, outbox }: LinkStoreDeps): Promise<Awaited<ReturnType<LinkStore["greeting"]>>> {
  const lanes = await Promise.all(
    UPLINK_LANES.map(async (lane) => {
      const { nextSeq, oldestSeq } = await outbox.range(lane);
      return { lane, nextSeq, oldestSeq };
    }),
  );
  const { cloudId, downlinkApplied } = await readSite(db);
  return { lanes, cloudId, downlinkApplied };
}
