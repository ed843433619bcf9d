import { createAttemptLimiter } from "../../shared/core/attempt-limiter.ts";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { toConnectError } from "../../shared/wire/rpc-errors.ts";
import type { EdgeSignals } from "./edge-signals.ts";

/** What a claim code was exchanged for. */
export interface EnrolledEdge {
  readonly edgeId: Uuid;
  readonly routingKey: string;
  readonly name: string;
  /** Sessions below this number have to end; null: there are none. */
  readonly fence: number | null;
}

export interface EnrollmentStore {
  /** @throws AppError CLAIM_REFUSED */
  enroll(claim: { readonly code: string; readonly secret: string }): Promise<EnrolledEdge>;
}

export interface EnrollmentDeps {
  readonly store: EnrollmentStore;
  readonly signals: Pick<EdgeSignals, "end">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
}

export interface Enrollment {
  readonly claimCode: string;
  /** Of the gateway's own making. */
  readonly secret: string;
}

/** Shorter ones could be guessed; longer ones don't fit into settings. */
const SECRET_LENGTH = { min: 20, max: 255 } as const;
const CLAIM_CODE_LENGTH_MAX = 64;
/** Failures a minute. Many gateways may sit behind one address. */
const FAILURES_MAX = { ofCode: 5, ofAddress: 30 } as const;

/** Takes gateways in that show a claim code. What it throws is a ConnectError. */
export function createEnrollment({ clock, log, signals, store }: EnrollmentDeps) {
  const what = "to enrol";
  const byCode = createAttemptLimiter(clock, what, { failuresMax: FAILURES_MAX.ofCode });
  const byAddress = createAttemptLimiter(clock, what, { failuresMax: FAILURES_MAX.ofAddress });

  const redeem = async (code: string, secret: string, remoteAddress: string) => {
    byAddress.check(remoteAddress);
    if (code.length > CLAIM_CODE_LENGTH_MAX) throw lengthError();
    byCode.check(code);
    try {
      if (secret.length < SECRET_LENGTH.min || secret.length > SECRET_LENGTH.max) throw lengthError();
      return await store.enroll({ code, secret });
    } catch (error) {
      if (AppError.from(error).code === "CLAIM_REFUSED") {
        byCode.fail(code);
        if (byAddress.fail(remoteAddress)) log.warn("Somebody tries claim codes", { remoteAddress });
      }
      throw error;
    }
  };
  return async ({ claimCode, secret }: Enrollment, remoteAddress: string) => {
    try {
      const { edgeId, routingKey, name, fence } = await redeem(claimCode, secret, remoteAddress);
      if (fence !== null) signals.end({ edgeId, fence, code: "UNAUTHENTICATED" });
      log.info("Edge enrolled", { edgeId });
      return { edgeKey: routingKey, edgeName: name };
    } catch (thrown) {
      throw toConnectError(thrown);
    }
  };
}

function lengthError(): AppError {
  return new AppError("INVALID_ARGUMENT", "Claim code or secret are of a length that can't be");
}
