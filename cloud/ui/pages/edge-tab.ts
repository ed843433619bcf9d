import type { EdgeInfo } from "../../../shared/ui/api/cloud.gen.ts";

/** What a tab of the details of an edge is given. */
export interface EdgeTabProps {
  readonly edge: EdgeInfo;
  readonly nowMs: number;
}
