import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Json } from "../entities/entity-record.ts";
import { jsonObjectInput, pageSchema } from "../entities/fields.ts";
import { userInfoSchema, userInfoToRest, userSchema, userToRest } from "../entities/user.ts";
import { changeUserSettings, listUsers, readUserSettings, type UserFilter } from "../store/user-admin-store.ts";
import { mapPage, pageQuery, parseIdList, toPageRequest } from "./pages.ts";
import type { Principal } from "./principal.ts";
import type { ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "./route.ts";
import { readableUser, sees } from "./user-access.ts";

const tag = "Users";

/** Reading users; nobody's password is in it. */
export function addUserReadRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  routes.add(
    { method: "get", path: "/api/user/{userId}", tag, summary: "A user", access: EVERY_ROLE, answer: userSchema },
    async (call) => userToRest(await readableUser(db, call.principal, call.uuid("userId"))),
  );
  const byIds = async (principal: Principal, text: string) => {
    const ids = parseIdList(text, "userIds");
    const { data } = await listUsers(db, { ...visibleUsers(principal), ids }, { pageSize: ids.length + 1, page: 0 });
    return data.filter((user) => sees(principal, user)).map(userToRest);
  };
  const idsQuery = z.object({ userIds: z.string({ error: "Required request parameter 'userIds' is not present" }) });
  routes.add(
    {
      method: "get",
      path: "/api/users/list",
      tag,
      summary: "Users by id; unknown ids are left out",
      access: TENANT_ROLES,
      query: idsQuery,
      answer: z.array(userSchema),
    },
    ({ principal, query }) => byIds(principal, query.userIds),
  );
  routes.add(
    {
      method: "get",
      path: "/api/users/info",
      tag,
      summary: "Users of the tenant, or of the caller's customer, briefly",
      access: TENANT_ROLES,
      query: pageQuery,
      answer: pageSchema(userInfoSchema),
    },
    async ({ principal, query }) =>
      mapPage(await listUsers(db, visibleUsers(principal), toPageRequest(query)), userInfoToRest),
  );
  routes.add(
    {
      method: "get",
      path: "/api/users",
      tag,
      summary: "Users of the tenant, or of the caller's customer; with userIds those with these ids",
      access: TENANT_ROLES,
      query: z.object({
        pageSize: z.string().optional(),
        page: z.string().optional(),
        textSearch: z.string().optional(),
        sortProperty: z.string().optional(),
        sortOrder: z.string().optional(),
        userIds: z.string().optional(),
      }),
      answer: pageSchema(userSchema),
    },
    async ({ principal, query }) => {
      if (query.userIds !== undefined) return byIds(principal, query.userIds);
      const page = toPageRequest(validate(pageQuery, query));
      return mapPage(await listUsers(db, visibleUsers(principal), page), userToRest);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/customer/{customerId}/users",
      tag,
      summary: "Users of a customer",
      access: TENANT_ADMIN,
      query: pageQuery,
      answer: pageSchema(userSchema),
    },
    async (call) => {
      const filter: UserFilter = { tenantId: call.principal.tenantId, customerId: call.uuid("customerId") };
      return mapPage(await listUsers(db, filter, toPageRequest(call.query)), userToRest);
    },
  );
}

function visibleUsers({ authority, tenantId, customerId, userId }: Principal): UserFilter {
  if (authority !== "CUSTOMER_USER") return { tenantId };
  // A customer user without a customer is a fault of its record; it sees nobody.
  return { tenantId, customerId: customerId ?? userId };
}

/** UTF-16 units of the JSON that a user interface may keep per user. */
const SETTINGS_LENGTH_MAX = 1_048_576;

type Settings = { readonly [key: string]: Json };

/** What a user interface keeps for the caller: free JSON. */
export function addUserSettingsRoutes(routes: RouteTable, { db, unitOfWork }: ResourceDeps): void {
  const path = "/api/user/settings";
  const answer = z.record(z.string(), z.unknown());
  const change = (userId: Uuid, next: (stored: Settings) => Settings): Promise<Settings> =>
    unitOfWork.run(async (tx) => {
      const result = await changeUserSettings(tx, userId, (stored) => limited(next(stored)));
      return { result, changes: [] };
    });
  routes.add(
    { method: "get", path, tag, summary: "Settings of the caller", access: EVERY_ROLE, answer },
    ({ principal }) => readUserSettings(db, principal.userId),
  );
  routes.add(
    {
      method: "post",
      path,
      tag,
      summary: "Replace the settings of the caller",
      access: EVERY_ROLE,
      body: jsonObjectInput,
      answer,
    },
    ({ principal, body }) => change(principal.userId, () => body),
  );
  routes.add(
    {
      method: "put",
      path,
      tag,
      summary: "Change single settings of the caller; keys may be paths as a.b",
      access: EVERY_ROLE,
      body: jsonObjectInput,
    },
    async ({ principal, body }) => {
      const entries = Object.entries(body);
      await change(principal.userId, (stored) =>
        limitedPaths(entries).reduce((settings, [key, value]) => withPath(settings, toPath(key), value), stored),
      );
    },
  );
  routes.add(
    {
      method: "delete",
      path: `${path}/{paths}`,
      tag,
      summary: "Delete settings of the caller; a comma-separated list of paths as a.b",
      access: EVERY_ROLE,
    },
    async (call) => {
      const paths = limitedPaths(call.param("paths").split(","));
      await change(call.principal.userId, (stored) =>
        paths.reduce((settings, path) => withPath(settings, toPath(path), undefined), stored),
      );
    },
  );
}

function limited(settings: Settings): Settings {
  if (JSON.stringify(settings).length <= SETTINGS_LENGTH_MAX) return settings;
  throw new AppError("INVALID_ARGUMENT", `Settings of a user may have ${SETTINGS_LENGTH_MAX} characters of JSON`);
}

/** Settings that one call may change: each of them copies what is there. */
const PATHS_MAX = 1000;
const PATH_DEPTH_MAX = 16;

function limitedPaths<T>(paths: readonly T[]): readonly T[] {
  if (paths.length <= PATHS_MAX) return paths;
  throw new AppError("INVALID_ARGUMENT", `At most ${PATHS_MAX} settings can be changed at once, got ${paths.length}`);
}

function toPath(text: string): readonly string[] {
  const path = text.split(".");
  if (path.length <= PATH_DEPTH_MAX) return path;
  throw new AppError("INVALID_ARGUMENT", `Path of a setting has at most ${PATH_DEPTH_MAX} parts, got ${path.length}`);
}

/** With `value` at the path; without it for undefined. Objects are merged, whatever else is there is replaced. */
function withPath(settings: Settings, path: readonly string[], value: Json | undefined): Settings {
  const [key = "", ...rest] = path;
  const entries = Object.entries(settings).filter(([name]) => name !== key);
  const stored = Object.hasOwn(settings, key) ? settings[key] : undefined;
  if (rest.length > 0) {
    const inner = withPath(isObject(stored) ? stored : {}, rest, value);
    return Object.fromEntries([...entries, [key, inner]]);
  }
  if (value === undefined) return Object.fromEntries(entries);
  const next = isObject(stored) && isObject(value) ? { ...stored, ...value } : value;
  return Object.fromEntries([...entries, [key, next]]);
}

function isObject(value: Json | undefined): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
