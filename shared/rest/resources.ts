import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { NULL_UUID, type Uuid } from "../core/ids.ts";
import { contentOf } from "../entities/content.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { entityIdSchema, pageSchema, restId } from "../entities/fields.ts";
import {
  RESOURCE_TYPES,
  resourceInfoSchema,
  resourceInput,
  resourceMediaType,
  resourceSchema,
  resourceToRest,
  type ResourceInput,
} from "../entities/resource.ts";
import { deleteEntity, getEntity } from "../store/entity-store.ts";
import {
  findResource,
  findResourceByKey,
  findResourceUsers,
  listResources,
  replaceResourceFile,
  saveResource,
  type ResourceFile,
} from "../store/resource-store.ts";
import { readWhole, streamFile } from "./files.ts";
import { readMultipart, type FormFile } from "./multipart.ts";
import type { OtaDeps, OtaReadDeps } from "./ota-packages.ts";
import { booleanQuery, mapPage, pageQuery, parseIdList, toPageRequest } from "./pages.ts";
import type { Principal } from "./principal.ts";
import { isVisible } from "./resource.ts";
import { EVERY_ROLE, validate, type Call, type RouteTable } from "./route.ts";

const tag = "Resources";
const MANAGERS = ["SYS_ADMIN", "TENANT_ADMIN"] as const;
/** What requests below /api/resource may have. */
const FILE_BYTES_MAX = 52_428_800;
const INLINE_BYTES_MAX = 16_777_216;

/** Reading resources, on both ends. Paths with a fixed part go before those that take anything there. */
export function addResourceReadRoutes(routes: RouteTable, deps: OtaReadDeps): void {
  addListRoutes(routes, deps);
  const read = (call: Call<unknown, unknown>) => readable(deps, call.principal, call.uuid("resourceId"));
  routes.add(
    {
      method: "get",
      path: "/api/resource/info/{resourceId}",
      tag,
      summary: "What a resource is",
      access: MANAGERS,
      answer: resourceInfoSchema,
    },
    async (call) => resourceToRest(await read(call)),
  );
  const file = {
    method: "get",
    tag,
    access: EVERY_ROLE,
    answer: z.string().meta({ format: "binary" }),
    answerType: "application/octet-stream",
  } as const;
  routes.add(
    { ...file, path: "/api/resource/{resourceId}/download", summary: "The file of a resource" },
    async (call) => answerFile(deps, call.request, await read(call)),
  );
  routes.add(
    { ...file, path: "/api/resource/{type}/{scope}/{key}", summary: "The file of a resource by its link" },
    (call) => answerLink(deps, call, call.param("type")),
  );
  routes.add({ ...file, path: "/api/images/{scope}/{key}", summary: "An image by its link" }, (call) =>
    answerLink(deps, call, "IMAGE"),
  );
  routes.add(
    {
      method: "get",
      path: "/api/resource/{resourceId}",
      tag,
      summary: "A resource with its file",
      access: MANAGERS,
      answer: resourceSchema,
    },
    async (call) => {
      const record = await read(call);
      const content = contentOf(record);
      if (content === null) return { ...resourceToRest(record), data: null };
      if (content.bytes > INLINE_BYTES_MAX) {
        throw new AppError("PAYLOAD_TOO_LARGE", `The file has more than ${INLINE_BYTES_MAX} bytes: download it`);
      }
      const bytes = await readWhole(deps.contents.read(record.tenantId, content), content.bytes);
      return { ...resourceToRest(record), data: bytes.toBase64() };
    },
  );
}

async function answerLink(deps: OtaReadDeps, call: Call<unknown, unknown>, typeText: string): Promise<Response> {
  const type = RESOURCE_TYPES.find((known) => known === typeText.toUpperCase());
  const scope = call.param("scope");
  if (type === undefined || (scope !== "tenant" && scope !== "system")) throw notFound();
  const tenantId = scope === "system" ? NULL_UUID : call.principal.tenantId;
  const record = await findResourceByKey(deps.db, { tenantId, type, key: decodeURIComponent(call.param("key")) });
  // Dashboards show images to whoever may see them.
  if (record === null || (type !== "IMAGE" && !isVisible(call.principal, record))) throw notFound();
  return answerFile(deps, call.request, record);
}

function notFound(): AppError {
  return new AppError("NOT_FOUND", "Requested item wasn't found!");
}

/** @throws AppError NOT_FOUND, also for what belongs to others */
async function readable({ db }: Pick<OtaReadDeps, "db">, principal: Principal, id: Uuid): Promise<EntityRecord> {
  const record = await findResource(db, principal.tenantId, id);
  if (record === null || !isVisible(principal, record)) throw notFound();
  return record;
}

/** Its hash tells whether the caller has it already. */
function answerFile({ contents }: OtaReadDeps, request: Request, record: EntityRecord): Response {
  const content = contentOf(record);
  if (content === null) throw notFound();
  const etag = `"${content.sha256}"`;
  const headers = { etag, "cache-control": "no-cache" };
  const known = (request.headers.get("if-none-match") ?? "")
    .split(",")
    .map((tagText) => tagText.trim().replace(/^W\//, ""));
  if (known.includes(etag) || known.includes("*")) return new Response(null, { status: 304, headers });
  const { fileName } = resourceToRest(record);
  const answer = { bytes: content.bytes, fileName: fileName ?? record.name, type: resourceMediaType(record) };
  const response = streamFile(contents.read(record.tenantId, content), answer);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

const typeQuery = pageQuery.extend({
  resourceType: z.enum(RESOURCE_TYPES).optional(),
  resourceSubType: z.string().optional(),
});

function addListRoutes(routes: RouteTable, deps: OtaReadDeps): void {
  const page = async ({ tenantId }: Principal, query: z.output<typeof typeQuery>) => {
    const { resourceType, resourceSubType, ...rest } = query;
    const filter = { tenantId, type: resourceType, subType: resourceSubType };
    return mapPage(await listResources(deps.db, filter, toPageRequest(rest)), resourceToRest);
  };
  const byIds = async (principal: Principal, text: string) => {
    const found = await Promise.all(
      parseIdList(text, "resourceIds").map((id) => findResource(deps.db, principal.tenantId, id)),
    );
    return found.flatMap((record) => (record === null ? [] : resourceToRest(record)));
  };
  const list = { method: "get", tag, access: MANAGERS, answer: pageSchema(resourceInfoSchema) } as const;
  routes.add(
    { ...list, path: "/api/resource/tenant", summary: "Resources of the tenant", query: typeQuery },
    ({ principal, query }) => page(principal, query),
  );
  const idsQuery = z.object({
    resourceIds: z.string({ error: "Required request parameter 'resourceIds' is not present" }),
  });
  routes.add(
    {
      ...list,
      path: "/api/resource/list",
      summary: "Resources by id; unknown ids are left out",
      query: idsQuery,
      answer: z.array(resourceInfoSchema),
    },
    ({ principal, query }) => byIds(principal, query.resourceIds),
  );
  const looseQuery = z.object(
    Object.fromEntries([...Object.keys(typeQuery.shape), "resourceIds"].map((name) => [name, z.string().optional()])),
  );
  routes.add(
    { ...list, path: "/api/resource", summary: "Resources; with resourceIds those with these ids", query: looseQuery },
    ({ principal, query }) => {
      const { resourceIds, ...rest } = query;
      return resourceIds === undefined ? page(principal, validate(typeQuery, rest)) : byIds(principal, resourceIds);
    },
  );
}

/** Making resources, which the cloud does. */
export function addResourceWriteRoutes(routes: RouteTable, deps: OtaDeps): void {
  const { contents, unitOfWork } = deps;
  const save = async (tenantId: Uuid, input: ResourceInput, file: ResourceFile | null) =>
    resourceToRest(await unitOfWork.run((tx) => saveResource(tx, deps, { tenantId, input, file })));
  const storeFile = async (tenantId: Uuid, { chunks, contentType }: FormFile): Promise<ResourceFile> => ({
    content: await contents.upload(tenantId, { chunks }),
    contentType,
  });
  const spec = { tag, access: MANAGERS, answer: resourceInfoSchema } as const;
  routes.add(
    { ...spec, method: "post", path: "/api/resource", summary: "Create or update a resource", body: resourceInput },
    async ({ principal: { tenantId }, body: { data, ...input } }) => {
      const bytes = data === undefined || data === null ? null : decode(data);
      const content = bytes === null ? null : await contents.upload(tenantId, { chunks: [bytes] });
      return save(tenantId, input, content === null ? null : { content, contentType: null });
    },
  );
  const form = { ...spec, formFile: "file", bodyBytesMax: FILE_BYTES_MAX } as const;
  routes.add(
    { ...form, method: "post", path: "/api/resource/upload", summary: "Create a resource out of a form" },
    async ({ principal: { tenantId }, request }) => {
      const { fields, file, fileName } = await readForm(request, (part) => storeFile(tenantId, part));
      const { title = fileName, resourceType, resourceSubType, descriptor } = fields;
      const given = { title, resourceType, resourceSubType, fileName, descriptor: parseDescriptor(descriptor) };
      const { data: _, ...input } = validate(resourceInput, given);
      return save(tenantId, input, file);
    },
  );
  routes.add(
    { ...form, method: "put", path: "/api/resource/{resourceId}/data", summary: "Replace the file of a resource" },
    async (call) => {
      const id = call.uuid("resourceId");
      const { tenantId } = call.principal;
      await ownResource(deps, tenantId, id);
      const { file, fileName } = await readForm(call.request, (part) => storeFile(tenantId, part));
      return resourceToRest(await unitOfWork.run((tx) => replaceResourceFile(tx, { id, tenantId, file, fileName })));
    },
  );
  routes.add(
    {
      ...spec,
      method: "put",
      path: "/api/resource/{resourceId}/info",
      summary: "Change what is said of a resource",
      body: resourceInput,
    },
    async (call) => {
      const { data: _, ...input } = call.body;
      return save(call.principal.tenantId, { ...input, id: call.uuid("resourceId") }, null);
    },
  );
  routes.add(
    {
      tag,
      access: MANAGERS,
      method: "delete",
      path: "/api/resource/{resourceId}",
      summary: "Delete a resource",
      query: z.object({ force: booleanQuery.optional() }),
      answer: deletedSchema,
    },
    async (call) => {
      const key = { type: "TB_RESOURCE", id: call.uuid("resourceId"), tenantId: call.principal.tenantId } as const;
      if (call.query.force !== true) {
        const users = await findResourceUsers(deps.db, await getEntity(deps.db, key));
        if (users.length > 0) return inUse(users);
      }
      await unitOfWork.run((tx) => deleteEntity(tx, key));
      return { success: true, references: null };
    },
  );
}

const deletedSchema = z.object({
  success: z.boolean(),
  references: z
    .record(z.string(), z.array(z.object({ id: entityIdSchema, name: z.string() })))
    .nullable()
    .meta({ description: "With status 400: what names the resource, by type" }),
});

function inUse(users: Awaited<ReturnType<typeof findResourceUsers>>): Response {
  const references: z.output<typeof deletedSchema>["references"] = {};
  for (const { entityType, id, name } of users) {
    (references[entityType] ??= []).push({ id: restId(entityType, id), name });
  }
  return Response.json({ success: false, references }, { status: 400 });
}

async function ownResource({ db }: Pick<OtaDeps, "db">, tenantId: Uuid, id: Uuid): Promise<void> {
  if ((await findResource(db, tenantId, id))?.tenantId !== tenantId) throw notFound();
}

function decode(base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch (error) {
    throw new AppError("INVALID_ARGUMENT", "Resource data is not base64", { cause: error, field: "data" });
  }
}

function parseDescriptor(text: string | undefined): unknown {
  try {
    return text === undefined || text === "" ? null : JSON.parse(text);
  } catch (error) {
    throw new AppError("INVALID_ARGUMENT", "Resource descriptor is not JSON", { cause: error, field: "descriptor" });
  }
}

interface ReadForm {
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly file: ResourceFile;
  readonly fileName: string;
}

/** Fields may come before the file or behind it. @throws AppError INVALID_ARGUMENT when there is no file */
async function readForm(request: Request, store: (part: FormFile) => Promise<ResourceFile>): Promise<ReadForm> {
  const fields: Record<string, string> = {};
  let file: ResourceFile | null = null;
  let fileName = "";
  for await (const part of readMultipart(request, { bytesMax: FILE_BYTES_MAX })) {
    if (part.kind === "field") fields[part.name] = part.value;
    else if (part.name !== "file" || file !== null) throw new AppError("INVALID_ARGUMENT", "Expected one part 'file'");
    else {
      ({ fileName } = part);
      file = await store(part);
    }
  }
  if (file === null) throw new AppError("INVALID_ARGUMENT", "Required part 'file' is not present.");
  return { fields, file, fileName };
}
