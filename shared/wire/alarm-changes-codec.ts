import type { MessageInitShape } from "@bufbuild/protobuf";
import { ALARM_ACTIONS, COMMENT_ACTIONS, type AlarmChange } from "../entities/change.ts";
import { refFrom, refToWire } from "./checked.ts";
import type { Change as ChangeMessage, ChangeSchema } from "./gen/skerry/sync/v1/sync_pb.ts";

// The kinds of Change that are about alarms.

type Kind = NonNullable<MessageInitShape<typeof ChangeSchema>["kind"]>;
type AlarmKind = Extract<ChangeMessage["kind"], { case: "alarmSaved" | "alarmRemoved" | "alarmCommentSaved" }>;

export function alarmKind(change: AlarmChange): Kind {
  const refs = { entity: refToWire(change.entity), originator: refToWire(change.originator) };
  switch (change.kind) {
    case "alarm-saved":
      return { case: "alarmSaved", value: { ...refs, action: change.action, body: change.body } };
    case "alarm-removed":
      return { case: "alarmRemoved", value: refs };
    case "alarm-comment-saved":
      return { case: "alarmCommentSaved", value: { ...refs, action: change.action, body: change.body } };
  }
}

/** An action that this version does not know is one of saving. */
export function alarmChangeFrom(kind: AlarmKind): AlarmChange {
  const refs = { entity: refFrom(kind.value.entity), originator: refFrom(kind.value.originator) };
  switch (kind.case) {
    case "alarmSaved": {
      const { action: sent, body } = kind.value;
      const action = ALARM_ACTIONS.find((known) => known === sent) ?? "UPDATED";
      return { kind: "alarm-saved", ...refs, action, body };
    }
    case "alarmRemoved":
      return { kind: "alarm-removed", ...refs };
    case "alarmCommentSaved": {
      const { action: sent, body } = kind.value;
      const action = COMMENT_ACTIONS.find((known) => known === sent) ?? "UPDATED_COMMENT";
      return { kind: "alarm-comment-saved", ...refs, action, body };
    }
  }
}
