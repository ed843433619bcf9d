import * as z from "zod";
import { parseUuid } from "../core/ids.ts";
import { assetProfileForm, assetProfileInfoSchema, assetProfileInfoToRest } from "../entities/asset-profile.ts";
import { deviceProfileForm, deviceProfileInfoSchema, deviceProfileInfoToRest } from "../entities/device-profile.ts";
import type { EntityInput, ProfileType } from "../entities/entity-kind.ts";
import { entityIdSchema, pageSchema, restId } from "../entities/fields.ts";
import { getEntity } from "../store/entity-store.ts";
import { deleteProfile, listProfileKeys, listProfileNames, makeDefault, saveProfile } from "../store/profile-save.ts";
import { getDefaultProfile } from "../store/profile-store.ts";
import {
  createResource,
  listQuery,
  looseListQuery,
  showOne,
  type EntityResource,
  type View,
} from "./entity-resource.ts";
import { addByIdsRoute, addDeleteRoute, addSaveRoute, showByIds, showPage } from "./entity-routes.ts";
import { inlineImagesQuery, withInlineImages } from "./named-files.ts";
import type { OtaReadDeps } from "./ota-packages.ts";
import { booleanQuery } from "./pages.ts";
import { permissionDenied } from "./principal.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "./route.ts";

interface ProfileResource<Input extends EntityInput> {
  readonly resource: EntityResource<Input>;
  readonly type: ProfileType;
  readonly brief: View;
  /** What has such a profile, in paths: `devices`. */
  readonly members: string;
  readonly hasTransport: boolean;
}

const deviceProfiles: ProfileResource<z.output<typeof deviceProfileForm.input>> = {
  resource: createResource({
    form: deviceProfileForm,
    tag: "Device profiles",
    readers: TENANT_ADMIN,
    check: async ({ profileData }) => {
      // Only what has rules needs to know how they look.
      if ((profileData?.["alarms"] ?? null) !== null)
        await (await import("./alarm-rules.ts")).checkAlarmRules({ profileData });
      if ((profileData?.["uplink"] ?? null) !== null)
        validate((await import("../rules/thinning/policy.ts")).profileUplinkSchema, { profileData });
      if ((profileData?.["calculatedFields"] ?? null) !== null)
        await (await import("./calculated-fields.ts")).checkCalculatedFields({ profileData });
    },
    save: (tx, deps, save) => saveProfile(tx, deps, { ...save, form: deviceProfileForm }),
    remove: (tx, _, { id, tenantId }) => deleteProfile(tx, { type: "DEVICE_PROFILE", id, tenantId }),
  }),
  type: "DEVICE_PROFILE",
  brief: { schema: deviceProfileInfoSchema, load: () => Promise.resolve(deviceProfileInfoToRest) },
  members: "devices",
  hasTransport: true,
};

const assetProfiles: ProfileResource<z.output<typeof assetProfileForm.input>> = {
  resource: createResource({
    form: assetProfileForm,
    tag: "Asset profiles",
    readers: TENANT_ADMIN,
    save: (tx, deps, save) => saveProfile(tx, deps, { ...save, form: assetProfileForm }),
    remove: (tx, _, { id, tenantId }) => deleteProfile(tx, { type: "ASSET_PROFILE", id, tenantId }),
  }),
  type: "ASSET_PROFILE",
  brief: { schema: assetProfileInfoSchema, load: () => Promise.resolve(assetProfileInfoToRest) },
  members: "assets",
  hasTransport: false,
};

type ProfileDeps = ResourceDeps & OtaReadDeps;

/** Device and asset profiles. */
export function addProfileRoutes(routes: RouteTable, deps: ProfileDeps): void {
  addKind(routes, deps, deviceProfiles);
  addKind(routes, deps, assetProfiles);
}

function addKind<Input extends EntityInput>(
  routes: RouteTable,
  deps: ProfileDeps,
  profile: ProfileResource<Input>,
): void {
  addNameRoutes(routes, deps, profile);
  addKeyRoutes(routes, deps, profile);
  addProfileRoute(routes, deps, profile);
  addListRoutes(routes, deps, profile);
  addSaveRoute(routes, deps, profile.resource);
  addDeleteRoute(routes, deps, profile.resource);
  addDefaultRoutes(routes, deps, profile);
}

function addProfileRoute<Input extends EntityInput>(
  routes: RouteTable,
  deps: ProfileDeps,
  { resource: { form, readers, tag, whole }, type }: ProfileResource<Input>,
): void {
  const parameter = `${form.kind.word}Id`;
  routes.add(
    {
      method: "get",
      path: `/api/${form.kind.word}/{${parameter}}`,
      tag,
      summary: `${form.kind.title} by id; inlineImages: with its image in place of the link to it`,
      access: readers,
      query: inlineImagesQuery,
      answer: whole.schema,
    },
    async (call) => {
      const { principal, query } = call;
      const record = await readableEntity(deps.db, principal, { type, id: call.uuid(parameter) });
      const shown = query.inlineImages === true ? await withInlineImages(deps, principal, record) : record;
      return showOne(deps.db, whole, shown);
    },
  );
}

const nameSchema = z.object({ id: entityIdSchema, name: z.string() }).meta({ id: "EntityName" });

function addNameRoutes<Input extends EntityInput>(
  routes: RouteTable,
  { db }: ResourceDeps,
  { resource, type, members }: ProfileResource<Input>,
): void {
  const { form, tag } = resource;
  routes.add(
    {
      method: "get",
      path: `/api/${form.kind.word}/names`,
      tag,
      summary: `Names of profiles; activeOnly: those that ${members} have`,
      access: TENANT_ROLES,
      query: z.object({ activeOnly: booleanQuery.optional() }),
      answer: z.array(nameSchema),
    },
    async ({ principal: { tenantId }, query: { activeOnly = false } }) =>
      (await listProfileNames(db, { type, tenantId, activeOnly })).map(({ id, name }) => ({
        id: restId(type, id),
        name,
      })),
  );
}

function addKeyRoutes<Input extends EntityInput>(
  routes: RouteTable,
  { db }: ResourceDeps,
  { resource, type, members }: ProfileResource<Input>,
): void {
  const { form, tag } = resource;
  const parameter = `${form.kind.word}Id`;
  for (const what of ["timeseries", "attributes"] as const) {
    routes.add(
      {
        method: "get",
        path: `/api/${form.kind.word}/${members}/keys/${what}`,
        tag,
        summary: `Keys that ${members} have, of one profile or of all`,
        access: TENANT_ADMIN,
        query: z.object({ [parameter]: z.string().optional() }),
        answer: z.array(z.string()),
      },
      async ({ principal: { tenantId }, query }) => {
        const text = query[parameter];
        const id =
          text === undefined ? null : (await getEntity(db, { type, id: parseUuid(text, parameter), tenantId })).id;
        return listProfileKeys(db, { type, tenantId, profileId: id, what });
      },
    );
  }
}

function addListRoutes<Input extends EntityInput>(
  routes: RouteTable,
  deps: ResourceDeps,
  { resource, type, brief, hasTransport }: ProfileResource<Input>,
): void {
  const { db } = deps;
  const { form, tag, whole } = resource;
  const { word } = form.kind;
  const filters = hasTransport ? (["transportType"] as const) : [];
  routes.add(
    {
      method: "get",
      path: `/api/${word}s`,
      tag,
      summary: "Profiles",
      access: TENANT_ADMIN,
      query: listQuery([]),
      answer: pageSchema(whole.schema),
    },
    ({ principal: { tenantId }, query }) => showPage(db, resource, { scope: { tenantId }, query, view: whole }),
  );
  addByIdsRoute(routes, deps, resource, { path: `/api/${word}Infos/list`, view: brief, access: TENANT_ADMIN });
  routes.add(
    {
      method: "get",
      path: `/api/${word}Infos`,
      tag,
      summary: `Profiles, briefly; with ${word}Ids those with these ids`,
      access: TENANT_ROLES,
      query: looseListQuery(filters, [`${word}Ids`]),
      answer: pageSchema(brief.schema),
    },
    async ({ principal, query }) => {
      const ids = query[`${word}Ids`];
      if (ids === undefined) {
        const scope = { tenantId: principal.tenantId };
        return showPage(db, resource, { scope, query: validate(listQuery(filters), query), view: brief });
      }
      if (principal.authority !== "TENANT_ADMIN") throw permissionDenied();
      return showByIds(db, resource, { principal, ids, view: brief });
    },
  );
  // "default" goes first: it would be taken for an id.
  routes.add(
    {
      method: "get",
      path: `/api/${word}Info/default`,
      tag,
      summary: "The default profile",
      access: TENANT_ROLES,
      answer: brief.schema,
    },
    async ({ principal: { tenantId } }) =>
      showOne(db, brief, await deps.unitOfWork.run((tx) => getDefaultProfile(tx, deps, { type, tenantId }))),
  );
  routes.add(
    {
      method: "get",
      path: `/api/${word}Info/{profileId}`,
      tag,
      summary: "A profile, briefly",
      access: TENANT_ROLES,
      answer: brief.schema,
    },
    async (call) =>
      showOne(db, brief, await getEntity(db, { type, id: call.uuid("profileId"), tenantId: call.principal.tenantId })),
  );
}

function addDefaultRoutes<Input extends EntityInput>(
  routes: RouteTable,
  deps: ResourceDeps,
  { resource, type }: ProfileResource<Input>,
): void {
  const { form, tag, whole } = resource;
  const parameter = `${form.kind.word}Id`;
  routes.add(
    {
      method: "post",
      path: `/api/${form.kind.word}/{${parameter}}/default`,
      tag,
      summary: "Make the profile the one of what names none",
      access: TENANT_ADMIN,
      answer: whole.schema,
    },
    async (call) => {
      const key = { type, id: call.uuid(parameter), tenantId: call.principal.tenantId };
      return showOne(deps.db, whole, await deps.unitOfWork.run((tx) => makeDefault(tx, key)));
    },
  );
}
