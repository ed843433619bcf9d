import * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import { exportedFileSchema } from "./exported-file.ts";
import { entityIdSchema, idInput, nameInput, restId, versionInput, withoutNulls } from "./fields.ts";

// The configuration of a dashboard is never looked into: it is the record's content, the very text that came.

export const dashboardKind: EntityKind = {
  type: "DASHBOARD",
  title: "Dashboard",
  word: "dashboard",
  nameField: "title",
  hasUniqueName: false,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: (record, customerId) => dashboardCustomers(record).includes(customerId),
  references: () => [],
};

export const dashboardInput = z
  .object({
    id: idInput.nullish(),
    title: nameInput("Dashboard", "title"),
    image: z.string().nullish(),
    mobileHide: z.boolean().nullish(),
    mobileOrder: z.int().nullish(),
    version: versionInput.nullish(),
    /** The text of the member, put here by the route. */
    configuration: z.string().optional(),
  })
  .meta({ id: "DashboardInput" });

export type DashboardInput = z.output<typeof dashboardInput>;

const assignedCustomerSchema = z.object({ customerId: entityIdSchema, title: z.string(), public: z.boolean() });

export const dashboardInfoSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    title: z.string(),
    name: z.string(),
    image: z.string().nullable(),
    assignedCustomers: z.array(assignedCustomerSchema),
    mobileHide: z.boolean(),
    mobileOrder: z.int().nullable(),
    externalId: entityIdSchema.nullable(),
    resources: z.array(exportedFileSchema).nullable(),
    version: z.int(),
  })
  .meta({ id: "DashboardInfo" });

export const dashboardSchema = dashboardInfoSchema.extend({ configuration: z.unknown() }).meta({ id: "Dashboard" });

interface DashboardBody {
  readonly image?: string;
  readonly mobileHide?: boolean;
  readonly mobileOrder?: number;
}

/** Customers that see the dashboard. */
export function dashboardCustomers({ body }: Pick<EntityRecord, "body">): readonly Uuid[] {
  const { customerIds } = body;
  return Array.isArray(customerIds) ? customerIds.filter((id): id is Uuid => typeof id === "string" && isUuid(id)) : [];
}

/** Without the titles of customers, which are not its own. */
export function dashboardToRest(record: EntityRecord): z.input<typeof dashboardInfoSchema> {
  const body = record.body as DashboardBody; // written by toFields only
  return {
    id: restId("DASHBOARD", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    title: record.name,
    name: record.name,
    image: body.image ?? null,
    assignedCustomers: [],
    mobileHide: body.mobileHide ?? false,
    mobileOrder: body.mobileOrder ?? null,
    externalId: null,
    resources: null,
    version: record.version,
  };
}

export const dashboardForm: EntityForm<DashboardInput> = {
  kind: dashboardKind,
  input: dashboardInput,
  schema: dashboardInfoSchema,
  toRest: dashboardToRest,
  ownKeys: ["customerIds"],
  toFields: ({ title, image, mobileHide, mobileOrder, configuration }) => ({
    name: title,
    body: withoutNulls({ image, mobileHide, mobileOrder }),
    ...(configuration === undefined ? {} : { content: configuration }),
  }),
};
