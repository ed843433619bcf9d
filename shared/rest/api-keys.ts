import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { entityIdSchema, idInput, pageSchema, restId } from "../entities/fields.ts";
import type { User } from "../entities/user.ts";
import {
  changeApiKey,
  createApiKey,
  deleteApiKey,
  findApiKey,
  listApiKeys,
  type ApiKey,
} from "../store/api-key-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { findUser } from "../store/user-store.ts";
import { mapPage, pageQuery, toPageRequest } from "./pages.ts";
import type { Principal } from "./principal.ts";
import type { ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, parseJson, type RouteTable } from "./route.ts";
import { manageableUser, manages } from "./user-access.ts";

const tag = "API keys";
const DESCRIPTION_LENGTH_MAX = 255;

const description = z
  .string({ error: "API key description should be specified!" })
  .max(DESCRIPTION_LENGTH_MAX, {
    error: `Validation error: description length must be equal or less than ${DESCRIPTION_LENGTH_MAX}`,
  })
  .refine((text) => !text.includes("\0"), { error: "Validation error: description should not contain 0x00 symbol" });

const apiKeyInput = z
  .object({
    userId: idInput.nullish(),
    description,
    expirationTime: z.int({ error: "Validation error: expirationTime must be a time in ms" }).min(0).nullish(),
    enabled: z.boolean({ error: "Validation error: enabled must be true or false" }).nullish(),
  })
  .meta({ id: "ApiKeyInput", description: "Without userId: of the caller; expirationTime 0: never" });

const storedApiKeySchema = z.object({
  id: entityIdSchema,
  createdTime: z.int(),
  tenantId: entityIdSchema,
  userId: entityIdSchema,
  description: z.string(),
  expirationTime: z.int(),
  enabled: z.boolean(),
});
const newApiKeySchema = storedApiKeySchema.extend({ value: z.string() }).meta({ id: "NewApiKey" });
const apiKeySchema = storedApiKeySchema.extend({ expired: z.boolean() }).meta({ id: "ApiKey" });

type ApiKeyDeps = Pick<ResourceDeps, "db" | "unitOfWork" | "clock" | "random">;

/** Keys of the caller, and of users that it manages. */
export function addApiKeyRoutes(routes: RouteTable, deps: ApiKeyDeps): void {
  const { db, clock } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/apiKey",
      tag,
      summary: "Create an API key; its value is in this answer only",
      access: EVERY_ROLE,
      body: apiKeyInput,
      answer: newApiKeySchema,
    },
    async ({ principal, body }) => {
      const user = await manageableUser(db, principal, body.userId ?? principal.userId);
      const { apiKey, value } = await write(deps, (tx) =>
        createApiKey(tx, deps, {
          userId: user.id,
          description: body.description,
          enabled: body.enabled ?? true,
          expiresMs: body.expirationTime ?? 0,
        }),
      );
      return { ...toRest(apiKey, user), value };
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/apiKeys/{userId}",
      tag,
      summary: "API keys of a user, without their values",
      access: EVERY_ROLE,
      query: pageQuery,
      answer: pageSchema(apiKeySchema),
    },
    async (call) => {
      const user = await manageableUser(db, call.principal, call.uuid("userId"));
      const nowMs = clock.nowMs();
      return mapPage(await listApiKeys(db, user.id, toPageRequest(call.query)), (apiKey) => ({
        ...toRest(apiKey, user),
        expired: apiKey.expiresMs !== 0 && apiKey.expiresMs <= nowMs,
      }));
    },
  );
  addApiKeyChangeRoutes(routes, deps);
}

function addApiKeyChangeRoutes(routes: RouteTable, deps: ApiKeyDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "put",
      path: "/api/apiKey/{apiKeyId}/description",
      tag,
      summary: "Change what a key is for; the body is a text",
      access: EVERY_ROLE,
      textBody: '"build server"',
      answer: storedApiKeySchema,
    },
    async (call) => {
      const { key, user } = await ownKey(db, call.principal, call.uuid("apiKeyId"));
      const parsed = description.safeParse(unquote(await call.text()));
      if (!parsed.success)
        throw new AppError("INVALID_ARGUMENT", parsed.error.issues[0]?.message ?? "Invalid description");
      await write(deps, (tx) => changeApiKey(tx, key.id, { description: parsed.data }));
      return toRest({ ...key, description: parsed.data }, user);
    },
  );
  routes.add(
    {
      method: "put",
      path: "/api/apiKey/{apiKeyId}/enabled/{enabled}",
      tag,
      summary: "Enable or disable a key",
      access: EVERY_ROLE,
      answer: storedApiKeySchema,
    },
    async (call) => {
      const { key, user } = await ownKey(db, call.principal, call.uuid("apiKeyId"));
      const text = call.param("enabled");
      if (text !== "true" && text !== "false")
        throw new AppError("INVALID_ARGUMENT", "Expected 'true' or 'false'", { field: "enabled" });
      await write(deps, (tx) => changeApiKey(tx, key.id, { enabled: text === "true" }));
      return toRest({ ...key, enabled: text === "true" }, user);
    },
  );
  routes.add(
    { method: "delete", path: "/api/apiKey/{apiKeyId}", tag, summary: "Delete a key", access: EVERY_ROLE },
    async (call) => {
      const { key } = await ownKey(db, call.principal, call.uuid("apiKeyId"));
      await write(deps, (tx) => deleteApiKey(tx, key.id));
    },
  );
}

/** @throws AppError NOT_FOUND, also for a key of somebody whom the caller does not manage */
async function ownKey(
  db: Queryable,
  principal: Principal,
  id: Uuid,
): Promise<{ readonly key: ApiKey; readonly user: User }> {
  const key = await findApiKey(db, id);
  const user = key === null ? null : await findUser(db, key.userId);
  if (key === null || user === null || !manages(principal, user))
    throw new AppError("NOT_FOUND", `API key with id [${id}] is not found`);
  return { key, user };
}

/** Keys are of this side alone. */
function write<T>({ unitOfWork }: ApiKeyDeps, work: (tx: Queryable) => Promise<T>): Promise<T> {
  return unitOfWork.run(async (tx) => ({ result: await work(tx), changes: [] }));
}

/** Clients send the text as it is, or as JSON. */
function unquote(text: string): unknown {
  return text.trimStart().startsWith('"') ? parseJson(text) : text;
}

function toRest(key: ApiKey, { tenantId }: User): z.input<typeof storedApiKeySchema> {
  return {
    id: { entityType: "API_KEY", id: key.id },
    createdTime: key.createdMs,
    tenantId: restId("TENANT", tenantId),
    userId: restId("USER", key.userId),
    description: key.description,
    expirationTime: key.expiresMs,
    enabled: key.enabled,
  };
}
