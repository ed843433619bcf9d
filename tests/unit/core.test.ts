import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { backoffDelayMs } from "../../shared/core/backoff.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid, isUuid, parseUuid, uuidFromBytes, uuidToBytes } from "../../shared/core/ids.ts";
import { createSeededRandom, createToken } from "../../shared/core/random.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

describe("backoffDelayMs()", () => {
  test("stays below the ceiling of its attempt and the greatest, and never below the floor", () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.integer(), fc.nat(120_000), (attempt, seed, floorMs) => {
        const delayMs = backoffDelayMs(attempt, createSeededRandom(seed), floorMs);
        expect(delayMs).toBeGreaterThanOrEqual(floorMs);
        expect(delayMs).toBeLessThanOrEqual(Math.max(floorMs, Math.min(60_000, 500 * 2 ** attempt)));
      }),
    );
  });

  test("spreads over the whole range", () => {
    const random = createSeededRandom(1);
    const delays = Array.from({ length: 1_000 }, () => backoffDelayMs(20, random));
    expect(Math.min(...delays)).toBeLessThan(1_000);
    expect(Math.max(...delays)).toBeGreaterThan(59_000);
  });
});

describe("uuids", () => {
  test("survive the way to bytes and back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const uuid = uuidFromBytes(bytes);
        expect(isUuid(uuid)).toBe(true);
        expect(uuidToBytes(uuid)).toEqual(bytes);
      }),
    );
  });

  test("of createUuid() are of version 7 and rise with the time", async () => {
    const clock = createVirtualClock();
    const random = createSeededRandom(3);
    const first = createUuid(clock, random);
    await clock.advance(1);
    const second = createUuid(clock, random);
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(first < second).toBe(true);
  });

  test("are refused in any other form", () => {
    for (const text of ["", "x", "13814000-1dd2-11b2-8080-80808080808", "13814000-1dd2-11b2-8080-80808080808g"]) {
      expect(() => parseUuid(text)).toThrow(AppError);
    }
    expect(() => uuidFromBytes(new Uint8Array(15))).toThrow(AppError);
    expect(String(parseUuid("13814000-1DD2-11B2-8080-808080808080"))).toBe("13814000-1dd2-11b2-8080-808080808080");
  });
});

test("createToken() gives letters and digits of the length asked for, the same for the same seed", () => {
  expect(createToken(createSeededRandom(9), 20)).toMatch(/^[A-Za-z0-9]{20}$/);
  expect(createToken(createSeededRandom(9), 20)).toBe(createToken(createSeededRandom(9), 20));
});

describe("WakeUp", () => {
  test("counts signals between two waits as one", async () => {
    const wakeUp = new WakeUp();
    const { signal } = new AbortController();
    wakeUp.signal();
    wakeUp.signal();
    await wakeUp.wait(signal);
    let isAwake = false;
    const second = wakeUp.wait(signal).then(() => (isAwake = true));
    await settle();
    expect(isAwake).toBe(false);
    wakeUp.signal();
    expect(await second).toBe(true);
  });

  test("lets go of a wait that is aborted", async () => {
    const abort = new AbortController();
    const wait = new WakeUp().wait(abort.signal);
    abort.abort(new AppError("CANCELLED", "enough"));
    await wait.then(
      () => expect.unreachable(),
      (error: unknown) => expect(error).toMatchObject({ code: "CANCELLED" }),
    );
  });
});
