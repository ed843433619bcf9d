import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { User } from "../entities/user.ts";
import { findUser, replacePassword } from "../store/user-store.ts";
import { checkPassword, PASSWORD_LENGTH_MAX, type AuthDeps } from "./auth.ts";
import type { RouteTable } from "./route.ts";
import { tokenPairSchema } from "./tokens.ts";
import type { LinkPurpose } from "./tokens.ts";

type ActivationDeps = Pick<AuthDeps, "db" | "users" | "clock" | "tokens" | "passwords" | "note">;

const tag = "Authentication";
const password = (field: string) =>
  z.string({ error: `${field} should be specified!` }).max(PASSWORD_LENGTH_MAX, { error: `${field} is too long` });

/** The first password of a user, and another one for who forgot it; who holds the link's token may set it. */
export function addActivationRoutes(routes: RouteTable, deps: ActivationDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/noauth/activate",
      tag,
      summary: "Leads to the page on which the first password is set",
      access: "anyone",
      query: z.object({ activateToken: z.string().optional() }),
    },
    async ({ query: { activateToken = "" } }) =>
      toPage(deps, { token: activateToken, purpose: "activation", page: "/login/createPassword?activateToken=" }),
  );
  routes.add(
    {
      method: "post",
      path: "/api/noauth/activate",
      tag,
      summary: "Set the first password of a user",
      access: "anyone",
      body: z.object({ activateToken: z.string(), password: password("Password") }),
      answer: tokenPairSchema,
    },
    async ({ body }) => {
      const user = await findLinkUser(deps, body.activateToken, "activation");
      if (user === null) throw new AppError("NOT_FOUND", "Unable to find user credentials by activateToken!");
      return deps.tokens.issue(await setPassword(deps, user, body.password));
    },
  );
  addResetRoutes(routes, deps);
}

function addResetRoutes(routes: RouteTable, deps: ActivationDeps): void {
  routes.add(
    {
      method: "post",
      path: "/api/noauth/resetPasswordByEmail",
      tag,
      summary: "Always the same answer; links are given out by administrators",
      access: "anyone",
    },
    () => Promise.resolve(undefined),
  );
  routes.add(
    {
      method: "get",
      path: "/api/noauth/resetPassword",
      tag,
      summary: "Leads to the page on which another password is set",
      access: "anyone",
      query: z.object({ resetToken: z.string().optional() }),
    },
    async ({ query: { resetToken = "" } }) =>
      toPage(deps, { token: resetToken, purpose: "reset", page: "/login/resetPassword?resetToken=" }),
  );
  routes.add(
    {
      method: "post",
      path: "/api/noauth/resetPassword",
      tag,
      summary: "Set another password; older tokens stop working",
      access: "anyone",
      body: z.object({ resetToken: z.string(), password: password("Password") }),
    },
    async ({ body }) => {
      const user = await findLinkUser(deps, body.resetToken, "reset");
      if (user === null) throw new AppError("INVALID_ARGUMENT", "Invalid reset token!", { field: "resetToken" });
      await setPassword(deps, user, body.password);
    },
  );
}

async function toPage(
  deps: ActivationDeps,
  { token, purpose, page }: { readonly token: string; readonly purpose: LinkPurpose; readonly page: string },
): Promise<Response> {
  const isGood = (await findLinkUser(deps, token, purpose)) !== null;
  return isGood
    ? new Response(null, { status: 303, headers: { location: page + encodeURIComponent(token) } })
    : new Response(null, { status: 409 });
}

/** null for a token that is not good, or no longer: a password was set since it was made. */
async function findLinkUser({ db, tokens }: ActivationDeps, token: string, purpose: LinkPurpose): Promise<User | null> {
  let claims;
  try {
    claims = await tokens.verifyLink(token, purpose);
  } catch (error) {
    if (error instanceof AppError && (error.code === "UNAUTHENTICATED" || error.code === "TOKEN_EXPIRED")) return null;
    throw error;
  }
  const user = await findUser(db, claims.userId);
  if (user === null || claims.issuedMs < user.tokensValidFromMs) return null;
  return user.isActivated === (purpose === "activation") ? null : user;
}

async function setPassword(deps: ActivationDeps, user: User, text: string): Promise<User> {
  const { clock, note, passwords, users } = deps;
  checkPassword(text, "password");
  const passwordHash = await passwords.hash(text);
  const changed = await users.change((tx) =>
    replacePassword(tx, { userId: user.id, passwordHash, nowMs: clock.nowMs() }),
  );
  await note?.(changed, user.isActivated ? "CREDENTIALS_UPDATED" : "ACTIVATED");
  return changed;
}
