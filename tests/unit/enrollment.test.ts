import { describe, expect, test } from "bun:test";
import { createEnrollment } from "../../cloud/sync/enrollment.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createTestClock } from "../support/test-clock.ts";

const EDGE = "0190a000-0000-7000-8000-000000000001" as Uuid;
const SECRET = "a-secret-of-20-letters";
const RIGHT = "ABCD-EFGH-JKMN-PQRS";

function startCloud() {
  const clock = createTestClock();
  const tried: string[] = [];
  const enroll = createEnrollment({
    clock,
    log: silentLog,
    signals: { end: () => undefined },
    store: {
      enroll: ({ code }) => {
        tried.push(code);
        if (code !== RIGHT) return Promise.reject(new AppError("CLAIM_REFUSED", "Not known"));
        return Promise.resolve({ edgeId: EDGE, routingKey: "key", name: "Edge", fence: null });
      },
    },
  });
  const attempt = async (claimCode: string, address = "10.0.0.1", secret = SECRET): Promise<string | null> => {
    try {
      await enroll({ claimCode, secret }, address);
      return null;
    } catch (error) {
      return (error as { metadata: Headers }).metadata.get("skerry-code");
    }
  };
  return { attempt, clock, tried };
}

describe("createEnrollment()", () => {
  test("lets a code be tried five times a minute, from wherever", async () => {
    const { attempt, clock, tried } = startCloud();
    for (let n = 0; n < 5; n += 1) expect(await attempt("USED", `10.0.0.${n}`)).toBe("CLAIM_REFUSED");
    expect(await attempt("USED", "10.0.0.9")).toBe("TOO_MANY_REQUESTS");
    expect(tried).toHaveLength(5);
    expect(await attempt(RIGHT, "10.0.0.1")).toBeNull();
    clock.advance(60_000);
    expect(await attempt("USED")).toBe("CLAIM_REFUSED");
  });

  test("lets an address try thirty codes a minute, and others go on", async () => {
    const { attempt, clock } = startCloud();
    for (let n = 0; n < 30; n += 1) expect(await attempt(`CODE ${n}`)).toBe("CLAIM_REFUSED");
    expect(await attempt(RIGHT)).toBe("TOO_MANY_REQUESTS");
    expect(await attempt(RIGHT, "10.0.0.2")).toBeNull();
    clock.advance(60_000);
    expect(await attempt(RIGHT)).toBeNull();
  });

  test("does not count what succeeds, nor what can't be a code or a secret", async () => {
    const { attempt } = startCloud();
    for (let n = 0; n < 40; n += 1) {
      expect(await attempt(RIGHT)).toBeNull();
      expect(await attempt("X".repeat(65))).toBe("INVALID_ARGUMENT");
      expect(await attempt("CODE", "10.0.0.1", "short")).toBe("INVALID_ARGUMENT");
    }
  });
});
