import * as z from "zod";
import { createAttemptLimiter } from "../core/attempt-limiter.ts";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import { isUuid, NULL_UUID, type Uuid } from "../core/ids.ts";
import { customerSummary } from "../entities/customer.ts";
import type { User } from "../entities/user.ts";
import { findEntity } from "../store/entity-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import type { RouteTable } from "./route.ts";
import { tokenPairSchema, type Tokens } from "./tokens.ts";

// Everybody who knows the id of a public customer, as it is in links to public dashboards, reads what that customer has. There is no
// account behind it: the user is made up of the customer, and gone as soon as that is no longer public.

/** null: there is no public customer of this id. */
export async function findPublicUser(db: Queryable, publicId: Uuid): Promise<User | null> {
  const customer = await findEntity(db, { type: "CUSTOMER", id: publicId });
  if (customer === null || !customerSummary(customer).isPublic) return null;
  return {
    id: NULL_UUID,
    tenantId: customer.tenantId,
    customerId: customer.id,
    email: customer.id,
    authority: "CUSTOMER_USER",
    firstName: "Public",
    lastName: "Public",
    phone: null,
    enabled: true,
    isCopy: false,
    isActivated: true,
    lastLoginMs: null,
    tokensValidFromMs: 0,
    version: 1,
    createdMs: customer.createdMs,
    additionalInfo: null,
  };
}

export interface PublicSignInDeps {
  readonly clock: Clock;
  readonly db: Queryable;
  readonly tokens: Tokens;
}

/** Failures of one address a minute: nobody finds an id by trying, and trying should not cost much. */
const FAILURES_MAX = 100;

export function addPublicSignInRoute(routes: RouteTable, { clock, db, tokens }: PublicSignInDeps): void {
  const attempts = createAttemptLimiter(clock, "to sign in", { failuresMax: FAILURES_MAX });
  routes.add(
    {
      method: "post",
      path: "/api/auth/login/public",
      tag: "Authentication",
      summary: "Sign in as everybody, to read what a public customer has",
      access: "anyone",
      body: z.object({ publicId: z.string({ error: "Public id should be specified!" }).max(64) }),
      answer: tokenPairSchema,
    },
    async ({ body: { publicId }, remoteAddress = "unknown" }) => {
      attempts.check(remoteAddress);
      const user = isUuid(publicId) ? await findPublicUser(db, publicId.toLowerCase() as Uuid) : null;
      if (user !== null) return tokens.issue(user);
      attempts.fail(remoteAddress);
      throw new AppError("UNAUTHENTICATED", "Authentication failed");
    },
  );
}
