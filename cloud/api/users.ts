import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import {
  userInput,
  userSchema,
  userToRest,
  withoutDerivedInfo,
  type User,
  type UserInput,
} from "../../shared/entities/user.ts";
import { booleanQuery, mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { permissionDenied, type Principal } from "../../shared/rest/principal.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { EVERY_ROLE, type Call, type RouteTable } from "../../shared/rest/route.ts";
import { LINK_TOKEN_LIFE_MS, tokenPairSchema, type LinkPurpose, type Tokens } from "../../shared/rest/tokens.ts";
import { manageableUser } from "../../shared/rest/user-access.ts";
import { keepEntity, notFound } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { deleteUser, enableUser, listUsers, updateUser } from "../../shared/store/user-admin-store.ts";
import { createUser, type UserWork } from "../../shared/store/user-store.ts";
import { keepTenant, tenantNotFound } from "../store/tenant-store.ts";

// Users are made and changed in the cloud; edges get copies.

export interface UserDeps extends ResourceDeps {
  readonly tokens: Tokens;
  readonly users: UserWork;
}

const tag = "Users";
const ADMINS = ["SYS_ADMIN", "TENANT_ADMIN"] as const;

export function addUserWriteRoutes(routes: RouteTable, deps: UserDeps): void {
  const { db, users } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/user",
      tag,
      summary: "Create a user, or update the one with this id; mail is never sent, the activation link is read by REST",
      access: EVERY_ROLE,
      query: z.object({ sendActivationMail: z.string().optional() }),
      body: userInput,
      answer: userSchema,
    },
    async ({ principal, body }) => userToRest(await saveUser(deps, principal, body)),
  );
  routes.add(
    { method: "delete", path: "/api/user/{userId}", tag, summary: "Delete a user", access: ADMINS },
    async (call) => {
      const user = await manageableUser(db, call.principal, call.uuid("userId"));
      await users.remove(user, (tx) => deleteUser(tx, user.id));
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/user/{userId}/userCredentialsEnabled",
      tag,
      summary: "Let a user sign in, or not any more",
      access: ADMINS,
      query: z.object({ userCredentialsEnabled: booleanQuery.optional() }),
    },
    async (call) => {
      const user = await manageableUser(db, call.principal, call.uuid("userId"));
      const { userCredentialsEnabled: enabled = true } = call.query;
      if (!enabled && user.id === call.principal.userId)
        throw new AppError("INVALID_ARGUMENT", "Nobody can disable the own account!");
      if (enabled && !user.isActivated)
        throw new AppError("INVALID_ARGUMENT", "Enabled user credentials should have password!");
      await users.change((tx) => enableUser(tx, user.id, enabled));
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/{tenantId}/users",
      tag,
      summary: "Administrators of a tenant",
      access: ["SYS_ADMIN"],
      query: pageQuery,
      answer: pageSchema(userSchema),
    },
    async (call) => {
      const filter = { tenantId: call.uuid("tenantId"), authority: "TENANT_ADMIN" } as const;
      return mapPage(await listUsers(db, filter, toPageRequest(call.query)), userToRest);
    },
  );
}

async function saveUser(deps: UserDeps, principal: Principal, input: UserInput): Promise<User> {
  const { id, email, firstName = null, lastName = null, phone = null } = input;
  const additionalInfo = withoutDerivedInfo(input.additionalInfo ?? null);
  const fields = { email, firstName, lastName, phone, additionalInfo };
  if (id === null || id === undefined) return createFor(deps, principal, { input, fields });
  const stored = await manageableUser(deps.db, principal, id);
  if (input.authority !== null && input.authority !== undefined && input.authority !== stored.authority) {
    throw new AppError("INVALID_ARGUMENT", "Authority of a user can't be changed!", { field: "authority" });
  }
  return deps.users.change((tx) => updateUser(tx, { ...fields, id, expectedVersion: input.version ?? null }));
}

type UserFields = Pick<User, "email" | "firstName" | "lastName" | "phone" | "additionalInfo">;

/** A system administrator makes administrators of tenants, an administrator of a tenant both kinds of its own. */
function createFor(
  deps: UserDeps,
  principal: Principal,
  { input, fields }: { readonly input: UserInput; readonly fields: UserFields },
): Promise<User> {
  const { authority } = input;
  if (authority === null || authority === undefined)
    throw new AppError("INVALID_ARGUMENT", "User authority should be specified!", { field: "authority" });
  const isAllowed =
    principal.authority === "SYS_ADMIN"
      ? authority === "TENANT_ADMIN"
      : principal.authority === "TENANT_ADMIN" && authority !== "SYS_ADMIN";
  if (!isAllowed) throw permissionDenied();
  const tenantId = principal.authority === "SYS_ADMIN" ? input.tenantId : principal.tenantId;
  if (tenantId === null || tenantId === undefined || tenantId === NULL_UUID)
    throw new AppError("INVALID_ARGUMENT", "User should be assigned to tenant!", { field: "tenantId" });
  const customerId = authority === "CUSTOMER_USER" ? wantedCustomer(input) : null;
  return deps.users.change(async (tx) => {
    if (!(await keepTenant(tx, tenantId))) throw tenantNotFound(tenantId);
    if (customerId !== null) await keepCustomer(tx, { tenantId, customerId });
    return createUser(tx, deps, { ...fields, tenantId, customerId, authority, passwordHash: null });
  });
}

function wantedCustomer({ customerId }: UserInput): Uuid {
  if (customerId !== null && customerId !== undefined && customerId !== NULL_UUID) return customerId;
  throw new AppError("INVALID_ARGUMENT", "Customer user should be assigned to customer!", { field: "customerId" });
}

async function keepCustomer(
  tx: Queryable,
  { tenantId, customerId }: { readonly tenantId: Uuid; readonly customerId: Uuid },
): Promise<void> {
  const isThere = await keepEntity(tx, { type: "CUSTOMER", id: customerId, tenantId });
  if (!isThere) throw notFound("CUSTOMER", customerId);
}

/** Ways into an account: the first password, a new one, or tokens as that user. */
export function addUserLinkRoutes(routes: RouteTable, deps: UserDeps): void {
  const { db, tokens } = deps;
  const linkOf = async (call: Call<unknown, unknown>, purpose: LinkPurpose): Promise<string> => {
    const user = await manageableUser(db, call.principal, call.uuid("userId"));
    if (purpose === "activation" && user.isActivated)
      throw new AppError("INVALID_ARGUMENT", "User is already activated!");
    if (purpose === "reset" && !user.isActivated)
      throw new AppError("INVALID_ARGUMENT", "User is not activated yet: use its activation link");
    const token = await tokens.issueLink(user, purpose);
    const path = purpose === "activation" ? "activate?activateToken" : "resetPassword?resetToken";
    return `${new URL(call.request.url).origin}/api/noauth/${path}=${token}`;
  };
  routes.add(
    {
      method: "get",
      path: "/api/user/{userId}/activationLink",
      tag,
      summary: "The link with which the user sets its first password",
      access: ADMINS,
      answer: z.string(),
      answerType: "text/plain",
    },
    async (call) => plainText(await linkOf(call, "activation")),
  );
  routes.add(
    {
      method: "get",
      path: "/api/user/{userId}/activationLinkInfo",
      tag,
      summary: "The same, with how long it is good",
      access: ADMINS,
      answer: z.object({ value: z.string(), ttlMs: z.int() }),
    },
    async (call) => ({ value: await linkOf(call, "activation"), ttlMs: LINK_TOKEN_LIFE_MS }),
  );
  routes.add(
    {
      method: "get",
      path: "/api/user/{userId}/resetLink",
      tag,
      summary: "The link with which a user sets another password",
      access: ADMINS,
      answer: z.string(),
      answerType: "text/plain",
    },
    async (call) => plainText(await linkOf(call, "reset")),
  );
  routes.add(
    {
      method: "post",
      path: "/api/user/sendActivationMail",
      tag,
      summary: "Does nothing: there is no mail; links are read by REST",
      access: ADMINS,
      query: z.object({ email: z.string().optional() }),
    },
    () => Promise.resolve(undefined),
  );
  addUserTokenRoutes(routes, deps);
}

function addUserTokenRoutes(routes: RouteTable, { db, tokens }: UserDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/user/tokenAccessEnabled",
      tag,
      summary: "Whether administrators can get tokens of their users",
      access: ADMINS,
      answer: z.boolean(),
    },
    () => Promise.resolve(true),
  );
  routes.add(
    {
      method: "get",
      path: "/api/user/{userId}/token",
      tag,
      summary: "A pair of tokens as this user",
      access: ADMINS,
      answer: tokenPairSchema,
    },
    async (call) => {
      const user = await manageableUser(db, call.principal, call.uuid("userId"));
      // Who may become another administrator of the system could hide behind it.
      if (user.authority === "SYS_ADMIN" || !user.enabled) throw permissionDenied();
      return tokens.issue(user);
    },
  );
}

function plainText(text: string): Response {
  return new Response(text, { headers: { "content-type": "text/plain; charset=utf-8" } });
}
