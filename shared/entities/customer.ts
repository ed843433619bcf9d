import * as z from "zod";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  restId,
  textInput,
  versionInput,
  withoutNulls,
} from "./fields.ts";

export const customerKind: EntityKind = {
  type: "CUSTOMER",
  title: "Customer",
  word: "customer",
  nameField: "title",
  hasUniqueName: true,
  isAssignable: false,
  isMadeOnEdges: false,
  profileType: null,
  isSeenBy: ({ id }, customerId) => id === customerId,
  references: () => [],
};

const CONTACT_FIELDS = ["country", "state", "city", "address", "address2", "zip", "phone", "email"] as const;

const contactInput = z.object({
  country: textInput("country").nullish(),
  state: textInput("state").nullish(),
  city: textInput("city").nullish(),
  address: textInput("address").nullish(),
  address2: textInput("address2").nullish(),
  zip: textInput("zip").nullish(),
  phone: textInput("phone").nullish(),
  email: textInput("email").nullish(),
});

export const customerInput = contactInput
  .extend({
    id: idInput.nullish(),
    title: nameInput("Customer", "title"),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "CustomerInput" });

export type CustomerInput = z.output<typeof customerInput>;

const textOrNull = z.string().nullable();

export const customerSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    title: z.string(),
    name: z.string(),
    country: textOrNull,
    state: textOrNull,
    city: textOrNull,
    address: textOrNull,
    address2: textOrNull,
    zip: textOrNull,
    phone: textOrNull,
    email: textOrNull,
    externalId: entityIdSchema.nullable(),
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "Customer" });

type CustomerBody = { readonly [Field in (typeof CONTACT_FIELDS)[number]]?: string } & {
  readonly additionalInfo?: Record<string, unknown> | null;
};

export function customerToRest(record: EntityRecord): z.input<typeof customerSchema> {
  const body = record.body as CustomerBody; // written by toFields only
  return {
    id: restId("CUSTOMER", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    title: record.name,
    name: record.name,
    country: body.country ?? null,
    state: body.state ?? null,
    city: body.city ?? null,
    address: body.address ?? null,
    address2: body.address2 ?? null,
    zip: body.zip ?? null,
    phone: body.phone ?? null,
    email: body.email ?? null,
    externalId: null,
    version: record.version,
    additionalInfo: body.additionalInfo ?? null,
  };
}

export const customerForm: EntityForm<CustomerInput> = {
  kind: customerKind,
  input: customerInput,
  schema: customerSchema,
  toRest: customerToRest,
  toFields: (input) => ({
    name: input.title,
    body: {
      additionalInfo: input.additionalInfo ?? null,
      ...withoutNulls(Object.fromEntries(CONTACT_FIELDS.map((field) => [field, input[field]]))),
    },
  }),
};

/** What other entities show of their customer. */
export interface CustomerSummary {
  readonly title: string;
  readonly isPublic: boolean;
}

export function customerSummary(record: EntityRecord): CustomerSummary {
  const info = record.body["additionalInfo"];
  const isPublic = typeof info === "object" && info !== null && "isPublic" in info && info["isPublic"] === true;
  return { title: record.name, isPublic };
}
