import { and, eq, isNull, lt } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { sha256Hex } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { fenceSessions } from "./edge-session-store.ts";
import { getEdge, hashEdgeSecret, type EdgeKey } from "./edge-store.ts";
import { claimCode, edge } from "./schema.ts";

// Claim codes: what a new gateway shows to become an edge. A code works once, until it expires; of the code only a hash is kept.

export interface ClaimCode {
  /** Shown once. */
  readonly code: string;
  readonly expiresMs: number;
}

/** Without letters that look like digits; 16 of them carry 80 bits. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LENGTH = 16;
const GROUP_LENGTH = 4;
/** Codes are remembered for so long after they expired, to say why they don't work. */
const KEPT_MS = 30 * 86_400_000;

/** A code for this edge; an earlier one that was not used stops working. @throws AppError NOT_FOUND */
export async function createClaimCode(
  tx: Queryable,
  { clock, random }: StoreDeps,
  { id, tenantId, lifeMs }: EdgeKey & { readonly lifeMs: number },
): Promise<ClaimCode> {
  await getEdge(tx, { id, tenantId });
  const nowMs = Math.round(clock.nowMs());
  await tx.delete(claimCode).where(lt(claimCode.expiresMs, nowMs - KEPT_MS));
  await tx.delete(claimCode).where(and(eq(claimCode.edgeId, id), isNull(claimCode.usedMs)));
  const code = makeCode(random);
  const expiresMs = nowMs + lifeMs;
  await tx.insert(claimCode).values({ codeHash: hashCode(code), edgeId: id, createdMs: nowMs, expiresMs });
  return { code, expiresMs };
}

function makeCode(random: Random): string {
  // 256 is a multiple of 32: every letter is as likely.
  const letters = Array.from(random.bytes(CODE_LENGTH), (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join("");
  return Array.from({ length: CODE_LENGTH / GROUP_LENGTH }, (_, group) =>
    letters.slice(group * GROUP_LENGTH, (group + 1) * GROUP_LENGTH),
  ).join("-");
}

/** As people type it: any case, with or without dashes, O and I for the digits that they look like. */
function hashCode(typed: string): string {
  const letters = typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  return sha256Hex(letters);
}

export interface ClaimedEdge {
  readonly edgeId: Uuid;
  readonly routingKey: string;
  readonly name: string;
  /** Sessions below this number have to end; null: there are none. */
  readonly fence: number | null;
}

/**
 * Makes `secret`, of the gateway's own making, the secret of the code's edge; nobody else gets in by another one from then on. The
 * gateway that used a code gets the same answer again as long as it shows the same secret: the first one may have been lost on its way.
 *
 * @throws AppError CLAIM_REFUSED that says why
 */
export async function redeemClaimCode(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  { code, secret }: { readonly code: string; readonly secret: string },
): Promise<ClaimedEdge> {
  const codeHash = hashCode(code);
  const [row] = await tx
    .select({ claim: claimCode, edge })
    .from(claimCode)
    .innerJoin(edge, eq(edge.id, claimCode.edgeId))
    .where(eq(claimCode.codeHash, codeHash))
    .for("update");
  if (row === undefined) throw refused("The cloud does not know this claim code; check it for a slip of the keys");
  const nowMs = Math.round(clock.nowMs());
  const secretHash = hashEdgeSecret(row.edge.routingKey, secret);
  const claimed = { edgeId: row.edge.id as Uuid, routingKey: row.edge.routingKey, name: row.edge.name };
  if (row.claim.usedMs !== null) {
    if (row.edge.secretHash === secretHash) return { ...claimed, fence: null };
    throw refused("This claim code was used already; make another one in the cloud");
  }
  if (row.claim.expiresMs <= nowMs) throw refused("This claim code has expired; make another one in the cloud");
  await tx.update(claimCode).set({ usedMs: nowMs }).where(eq(claimCode.codeHash, codeHash));
  const noOldSecret = { oldSecretHash: null, oldSecretUntilMs: null };
  await tx
    .update(edge)
    .set({ secretHash, ...noOldSecret })
    .where(eq(edge.id, row.edge.id));
  return { ...claimed, fence: await fenceSessions(tx, claimed.edgeId, { reason: "UNAUTHENTICATED", nowMs }) };
}

function refused(text: string): AppError {
  return new AppError("CLAIM_REFUSED", text);
}
