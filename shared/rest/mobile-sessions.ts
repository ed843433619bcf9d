import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { deleteMobileSession, findMobileSession, saveMobileSession } from "../store/mobile-session-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import type { ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, type RouteTable } from "./route.ts";

const TOKEN_HEADER = "x-mobile-token";
const TOKEN_LENGTH_MAX = 1024;

const sessionSchema = z.object({ fcmTokenTimestamp: z.int().min(0) }).meta({ id: "MobileSessionInfo" });

/** The phone that the caller is signed in on, named by the header X-Mobile-Token. Add them in front of `/api/user/{userId}`. */
export function addMobileSessionRoutes(routes: RouteTable, { clock, db, unitOfWork }: ResourceDeps): void {
  const write = (work: (tx: Queryable) => Promise<void>): Promise<void> =>
    unitOfWork.run(async (tx) => ({ result: await work(tx), changes: [] }));
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
      await write((tx) => saveMobileSession(tx, session, clock.nowMs()));
    },
  );
  routes.add({ ...common, method: "delete", summary: "Forget the phone" }, async ({ principal: { userId }, request }) =>
    write((tx) => deleteMobileSession(tx, userId, tokenOf(request))),
  );
}

function tokenOf({ headers }: Request): string {
  const token = headers.get(TOKEN_HEADER) ?? "";
  if (token !== "" && token.length <= TOKEN_LENGTH_MAX) return token;
  const text = `Required header X-Mobile-Token of 1 to ${TOKEN_LENGTH_MAX} characters is not present`;
  throw new AppError("INVALID_ARGUMENT", text, { field: "X-Mobile-Token" });
}
