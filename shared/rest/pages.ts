import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { parseUuid, type Uuid } from "../core/ids.ts";
import type { Page, PageRequest } from "../store/entity-store.ts";

/** Larger pages are answered with this size: a page is held in memory. */
const PAGE_SIZE_MAX = 10_000;

const integerText = (name: string) =>
  z
    .string({ error: `Required request parameter '${name}' is not present` })
    .regex(/^-?\d{1,15}$/, {
      error: (issue) => `Incorrect value '${String(issue.input).slice(0, 32)}' of parameter '${name}'`,
    })
    .transform(Number);

/** The query parameters of every list, as they are written. */
export const pageQuery = z.object({
  pageSize: integerText("pageSize").refine((size) => size > 0, {
    error: (issue) => `Incorrect page link page size '${String(issue.input)}'. Page size must be greater than zero.`,
  }),
  page: integerText("page").refine((page) => page >= 0, {
    error: (issue) => `Incorrect page link page '${String(issue.input)}'. Page must be positive integer.`,
  }),
  textSearch: z.string().optional(),
  sortProperty: z.string().optional(),
  sortOrder: z
    .string()
    .refine((order) => ["ASC", "DESC", ""].includes(order.toUpperCase()), {
      error: (issue) =>
        `Unsupported sort order '${String(issue.input).slice(0, 32)}'! Only 'ASC' or 'DESC' types are allowed.`,
    })
    .optional(),
});

/** The same with the range of times that event lists have. */
export const timePageQuery = pageQuery.extend({
  startTime: integerText("startTime").optional(),
  endTime: integerText("endTime").optional(),
});

export const booleanQuery = z
  .enum(["true", "false"], { error: "Expected 'true' or 'false'" })
  .transform((text) => text === "true");

export function toPageRequest(
  query: z.output<typeof pageQuery> & { startTime?: number | undefined; endTime?: number | undefined },
): PageRequest {
  const { pageSize, page, textSearch, sortProperty, sortOrder, startTime, endTime } = query;
  return {
    pageSize: Math.min(pageSize, PAGE_SIZE_MAX),
    page,
    textSearch,
    sortProperty,
    sortOrder: sortOrder?.toUpperCase() === "DESC" ? "DESC" : "ASC",
    startTime,
    endTime,
  };
}

export function mapPage<T, R>(page: Page<T>, convert: (item: T) => R): Page<R> {
  return { ...page, data: page.data.map(convert) };
}

const IDS_MAX = 1000;

/** Ids of a comma-separated list. @throws AppError INVALID_ARGUMENT */
export function parseIdList(text: string, field: string): Uuid[] {
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length > IDS_MAX) {
    throw new AppError(
      "INVALID_ARGUMENT",
      `Incorrect '${field}': at most ${IDS_MAX} ids are allowed, got ${parts.length}`,
      { field },
    );
  }
  return parts.map((part) => parseUuid(part, field));
}
