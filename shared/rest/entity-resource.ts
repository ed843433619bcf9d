import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { EntityForm, EntityInput } from "../entities/entity-kind.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { Authority } from "../entities/user.ts";
import { saveForm, type FormSave } from "../store/entity-save.ts";
import { deleteEntity, type EntityFilter } from "../store/entity-store.ts";
import type { StoreDeps } from "../store/store-deps.ts";
import type { Outcome, Queryable } from "../store/unit-of-work.ts";
import { booleanQuery, pageQuery, parseIdList, timePageQuery } from "./pages.ts";
import { TENANT_ADMIN, TENANT_ROLES } from "./route.ts";

// What the REST resource of a kind is: the routes of entity-routes.ts are made from it.

/** A form in which records are shown. */
export interface View {
  readonly schema: z.ZodType;
  /** Looks up what is shown beside the records themselves; the result shows one of them. */
  readonly load: (db: Queryable, records: readonly EntityRecord[]) => Promise<(record: EntityRecord) => unknown>;
}

export interface EntityResource<Input extends EntityInput> {
  readonly form: EntityForm<Input>;
  readonly tag: string;
  /** Who reads one. */
  readonly readers: readonly Authority[];
  /** Who saves; a customer user changes its customer's entities and makes none. */
  readonly writers: readonly Authority[];
  /** The whole entity. */
  readonly whole: View;
  /** In lists. */
  readonly listed: View;
  /** With what lists of people show of it; null: there is no such form. */
  readonly info: View | null;
  /** In the list of what is assigned to an edge. */
  readonly onEdge: View;
  /** Filters of its lists, of those in the Info form, and of what is assigned to an edge. */
  readonly filters: readonly FilterName[];
  readonly infoFilters: readonly FilterName[];
  readonly edgeFilters: readonly FilterName[];
  /** Whether the save takes what is to be done about a name that is taken. */
  readonly hasNamePolicy: boolean;
  /** More query parameters of the save. */
  readonly saveParameters: readonly string[];
  /** What the form alone can't tell, before anything is written. @throws AppError INVALID_ARGUMENT */
  readonly check: (input: Input) => Promise<void>;
  readonly save: (tx: Queryable, deps: StoreDeps, save: ResourceSave<Input>) => Promise<Outcome<EntityRecord>>;
  /** @throws AppError NOT_FOUND, INVALID_ARGUMENT while others need it */
  readonly remove: (tx: Queryable, deps: StoreDeps, entity: OwnEntity) => Promise<Outcome<unknown>>;
}

export interface ResourceSave<Input extends EntityInput> extends Omit<FormSave<Input>, "form"> {
  /** What was given of `saveParameters`. */
  readonly parameters: Readonly<Record<string, string | undefined>>;
}

export interface OwnEntity {
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

type Choices<Input extends EntityInput> = Partial<EntityResource<Input>> & Pick<EntityResource<Input>, "form" | "tag">;

/** A resource with what most kinds have where nothing else is said. */
export function createResource<Input extends EntityInput>(choices: Choices<Input>): EntityResource<Input> {
  const { form } = choices;
  const plain = plainView(form);
  return {
    readers: TENANT_ROLES,
    writers: TENANT_ADMIN,
    whole: plain,
    listed: plain,
    info: null,
    onEdge: plain,
    filters: [],
    infoFilters: [],
    edgeFilters: [],
    hasNamePolicy: false,
    saveParameters: [],
    check: () => Promise.resolve(),
    save: (tx, deps, { tenantId, input, naming }) => saveForm(tx, deps, { form, tenantId, input, naming }),
    remove: (tx, _, entity) => deleteEntity(tx, { type: form.kind.type, ...entity }),
    ...choices,
  };
}

function plainView({ schema, toRest }: Pick<EntityForm<never>, "schema" | "toRest">): View {
  return { schema, load: () => Promise.resolve(toRest) };
}

export async function showOne(db: Queryable, view: View, record: EntityRecord): Promise<unknown> {
  return (await view.load(db, [record]))(record);
}

const filterQuery = z.object({
  type: z.string().optional(),
  deviceProfileId: z.string().optional(),
  assetProfileId: z.string().optional(),
  active: booleanQuery.optional(),
  transportType: z.string().optional(),
  mobile: booleanQuery.optional(),
});

export type FilterName = keyof z.output<typeof filterQuery>;
export type ListQuery = z.output<typeof timePageQuery> & z.output<typeof filterQuery>;

/** The query of a list with these filters. */
export function listQuery(
  names: readonly FilterName[],
  { hasTimes = false }: { readonly hasTimes?: boolean } = {},
): z.ZodType<ListQuery> {
  const chosen = Object.fromEntries(names.map((name) => [name, filterQuery.shape[name]]));
  const query = (hasTimes ? timePageQuery : pageQuery).extend(chosen);
  // All filters are optional, so what lacks some is one of these too; zod can't tell which were chosen.
  return query as unknown as z.ZodType<ListQuery>;
}

/** The parameters of a list as texts that may be missing, for a path that answers something else when `others` are given. */
export function looseListQuery(names: readonly FilterName[], others: readonly string[]) {
  const all = [...Object.keys(pageQuery.shape), ...names, ...others];
  return z.object(Object.fromEntries(all.map((name) => [name, z.string().optional()])));
}

/** @throws AppError INVALID_ARGUMENT for an id that is none */
export function toFilter(query: ListQuery): Partial<EntityFilter> {
  const { type, deviceProfileId, assetProfileId, active, mobile = false, transportType } = query;
  const [field, text] =
    deviceProfileId === undefined
      ? (["assetProfileId", assetProfileId] as const)
      : (["deviceProfileId", deviceProfileId] as const);
  const profileId = text === undefined ? undefined : parseIdList(text, field)[0];
  const transport =
    transportType === undefined ? undefined : { key: "transportType", value: transportType, whenAbsent: "DEFAULT" };
  // On phones only what is not hidden there; `false` asks for all, as saying nothing does.
  const bodyText = mobile ? { key: "mobileHide", value: "false", whenAbsent: "false" } : transport;
  return { subtype: type, profileId, active, bodyText };
}
