import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { EVERY_ROLE, type RouteTable } from "../../shared/rest/route.ts";
import { runTransaction } from "../store/downlink-store.ts";
import { deleteMobileSession, findMobileSession, saveMobileSession } from "../store/mobile-session-store.ts";

const TOKEN_HEADER = "x-mobile-token";
const TOKEN_LENGTH_MAX = 1024;

const sessionSchema = z.object({ fcmTokenTimestamp: z.int().min(0) }).meta({ id: "MobileSessionInfo" });

/** The phone that the caller is signed in on, named by the header X-Mobile-Token. Add them in front of `/api/user/{userId}`. */
export function addMobileSessionRoutes(routes: RouteTable, { clock, db }: Pick<ResourceDeps, "clock" | "db">): void {
  const common = { path: "/api/user/mobile/session", tag: "Users", access: EVERY_ROLE } as const;
  routes.add(
    {
      ...common,
      method: "get",
      summary: "When the phone got its token; empty when it is not known",
      answer: sessionSchema,
    },
    async ({ principal: { userId }, request }) => {
      const session = await findMobileSession(db, userId, tokenOf(request));
      return session === null ? undefined : { fcmTokenTimestamp: session.tokenMs };
    },
  );
  routes.add(
    { ...common, method: "post", summary: "Remember the phone", body: sessionSchema },
    async ({ principal: { userId }, body, request }) => {
      const session = { userId, token: tokenOf(request), tokenMs: body.fcmTokenTimestamp };
      await runTransaction(db, (tx) => saveMobileSession(tx, session, clock.nowMs()));
    },
  );
  routes.add({ ...common, method: "delete", summary: "Forget the phone" }, async ({ principal: { userId }, request }) =>
    deleteMobileSession(db, userId, tokenOf(request)),
  );
}

function tokenOf({ headers }: Request): string {
  const token = headers.get(TOKEN_HEADER) ?? "";
  if (token !== "" && token.length <= TOKEN_LENGTH_MAX) return token;
  const text = `Required header X-Mobile-Token of 1 to ${TOKEN_LENGTH_MAX} characters is not present`;
  throw new AppError("INVALID_ARGUMENT", text, { field: "X-Mobile-Token" });
}
