import {
  alarmCommentInfoSchema,
  alarmCommentInput,
  alarmCommentSchema,
  alarmCommentToRest,
} from "../entities/alarm-comment.ts";
import { pageSchema } from "../entities/fields.ts";
import { deleteComment, listComments, saveComment } from "../store/alarm-comment-store.ts";
import { getAlarmInfo } from "../store/alarm-lists.ts";
import { mapPage, pageQuery, toPageRequest } from "./pages.ts";
import { visibleTo, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, TENANT_ROLES, type Call, type RouteTable } from "./route.ts";

const tag = "Alarms";

/** Comments on alarms. */
export function addAlarmCommentRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  const readAlarm = async (call: Call<unknown, unknown>) => {
    const { alarm } = await getAlarmInfo(db, { ...visibleTo(call.principal), alarmId: call.uuid("alarmId") });
    return alarm;
  };
  const path = "/api/alarm/{alarmId}/comment";
  routes.add(
    {
      method: "get",
      path,
      tag,
      summary: "Comments on an alarm, and what was done to it",
      access: EVERY_ROLE,
      query: pageQuery,
      answer: pageSchema(alarmCommentInfoSchema),
    },
    async (call) => {
      const { id } = await readAlarm(call);
      return mapPage(await listComments(db, id, toPageRequest(call.query)), ({ comment, ...user }) => ({
        ...alarmCommentToRest(comment),
        ...user,
      }));
    },
  );
  routes.add(
    {
      method: "post",
      path,
      tag,
      summary: "Comment on an alarm, or edit your comment with this id",
      access: TENANT_ROLES,
      body: alarmCommentInput,
      answer: alarmCommentSchema,
    },
    async (call) => {
      const { id: alarmId } = await readAlarm(call);
      const { tenantId, userId } = call.principal;
      const { comment, id } = call.body;
      const save = { alarmId, tenantId, userId, commentId: id ?? null, text: comment.text };
      return alarmCommentToRest(await unitOfWork.run((tx) => saveComment(tx, deps, save)));
    },
  );
  routes.add(
    {
      method: "delete",
      path: `${path}/{commentId}`,
      tag,
      summary: "Delete a comment: a note that it was deleted takes its place",
      access: TENANT_ROLES,
    },
    async (call) => {
      const { id: alarmId } = await readAlarm(call);
      const { authority, tenantId, userId } = call.principal;
      const anyones = authority === "TENANT_ADMIN";
      const key = { alarmId, tenantId, userId, commentId: call.uuid("commentId"), anyones };
      await unitOfWork.run((tx) => deleteComment(tx, deps, key));
    },
  );
}
