import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EDGE_SECRET_MASK, toEdgeSave } from "../../cloud/api/edge-form.ts";
import { createAttemptLimiter } from "../../shared/core/attempt-limiter.ts";
import { AppError, ERROR_CODES, type ErrorCode } from "../../shared/core/errors.ts";
import { sha256Hex } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { errorResponse } from "../../shared/rest/errors.ts";
import { pageQuery, parseIdList, toPageRequest } from "../../shared/rest/pages.ts";
import { parseJson, pathParameters, validate } from "../../shared/rest/route.ts";
import { scriptHasher, createPasswordHasher } from "../../shared/runtime/password.ts";
import { arrayLiteral } from "../../shared/store/array-param.ts";
import { containsPattern, toPage } from "../../shared/store/entity-store.ts";
import { createTestClock } from "../support/test-clock.ts";

describe("errorResponse()", () => {
  test("answers to every code in the form of the convention, and keeps internals to itself", async () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const response = errorResponse(new AppError(code, "Text 7"), 5);
      const body = (await response.json()) as Record<string, unknown>;
      expect(body).toEqual({
        status: response.status,
        message: body["message"],
        errorCode: body["errorCode"],
        timestamp: 5,
      });
      if (code === "INTERNAL") expect(body["message"]).not.toContain("Text 7");
    }
  });

  test.each<[ErrorCode, number, number]>([
    ["UNAUTHENTICATED", 401, 10],
    ["TOKEN_EXPIRED", 401, 11],
    ["PERMISSION_DENIED", 403, 20],
    ["INVALID_PAYLOAD", 400, 31],
    ["ALREADY_EXISTS", 400, 31],
    ["NOT_FOUND", 404, 32],
    ["TOO_MANY_REQUESTS", 429, 33],
    ["VERSION_CONFLICT", 409, 35],
    ["EDGE_NOT_CONNECTED", 500, 2],
  ])("maps %s to %d/%d", async (code, status, errorCode) => {
    const response = errorResponse(new AppError(code, "x", { retryAfterMs: 1500 }), 0);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await response.json()).toMatchObject({ status, errorCode, message: "x" });
  });
});

describe("parseJson()", () => {
  test("names the place of what is no JSON, whatever it is", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        if (isJson) expect(parseJson(text)).toEqual(JSON.parse(text));
        else expect(() => parseJson(text)).toThrow(AppError);
      }),
    );
    expect(() => parseJson('{"a":1,}')).toThrow("position 7");
  });
});

describe("pages", () => {
  test("toPage() counts pages and says whether more follow", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 500 }),
        (pageSize, page, total) => {
          const made = toPage([], total, { pageSize, page });
          expect(made.totalPages).toBe(Math.ceil(total / pageSize));
          expect(made.hasNext).toBe((page + 1) * pageSize < total);
        },
      ),
    );
  });

  test("a page larger than the limit is cut to it", () => {
    expect(toPageRequest(validate(pageQuery, { pageSize: "9999999", page: "0" })).pageSize).toBe(10_000);
  });

  test("parseIdList() takes commas and refuses what is no uuid, and too many", () => {
    const id = "784f394c-42b6-435a-983c-b7beff2784f9";
    expect(parseIdList(`${id.toUpperCase()}, ${id},`, "ids")).toEqual([id, id] as Uuid[]);
    expect(parseIdList("", "ids")).toEqual([]);
    expect(() => parseIdList("['a']", "ids")).toThrow("Invalid UUID string: ['a']");
    expect(() => parseIdList(`${id},`.repeat(1001), "ids")).toThrow("at most 1000");
  });

  test("containsPattern() takes every character as it is", () => {
    expect(containsPattern("50%_\\")).toBe("%50\\%\\_\\\\%");
  });
});

test("pathParameters() gives the names in order", () => {
  expect(pathParameters("/api/edge/{edgeId}/device/{entityId}")).toEqual(["edgeId", "entityId"]);
});

describe("createAttemptLimiter()", () => {
  test("refuses after the limit, for its window, per key", () => {
    const clock = createTestClock();
    const limiter = createAttemptLimiter(clock, "to sign in", { failuresMax: 2, windowMs: 1000 });
    for (let failure = 0; failure < 2; failure += 1) {
      limiter.check("a");
      limiter.fail("a");
    }
    expect(() => limiter.check("a")).toThrow("Too many failed attempts");
    limiter.check("b");
    clock.advance(1001);
    limiter.check("a");
  });

  test("forgets failures after a success, and the oldest key beyond its limit", () => {
    const limiter = createAttemptLimiter(createTestClock(), "to sign in", { failuresMax: 1, keysMax: 2 });
    limiter.fail("a");
    limiter.succeed("a");
    limiter.check("a");
    for (const key of ["x", "y", "z"]) limiter.fail(key);
    limiter.check("x");
    expect(() => limiter.check("z")).toThrow();
  });
});

describe("toEdgeSave()", () => {
  test.each([[EDGE_SECRET_MASK], [""], [null], [undefined]])("keeps the secret for %j", (secret) => {
    expect(toEdgeSave({ name: "a", secret }, "t" as Uuid)).toMatchObject({
      secret: null,
      type: "default",
      routingKey: null,
    });
  });
});

describe("arrayLiteral()", () => {
  test("quotes what PostgreSQL would take apart", () => {
    expect(arrayLiteral(["a,b", 'c"d', "e\\f", "", "NULL", null, 5, true])).toBe(
      '{"a,b","c\\"d","e\\\\f","","NULL",NULL,5,true}',
    );
  });
});

describe("passwords", () => {
  test("are hashed and verified the same by both implementations", async () => {
    const hasher = createPasswordHasher();
    for (const [one, other] of [
      [hasher, scriptHasher],
      [scriptHasher, hasher],
    ] as const) {
      const hash = await one.hash("pässword");
      expect(hash).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
      expect(await other.verify("pässword", hash)).toBeTrue();
      expect(await other.verify("password", hash)).toBeFalse();
    }
  });

  test.each(["", "plain", "$argon2id$v=19$m=1$x$y"])("never match the hash %j", async (hash) => {
    expect(await createPasswordHasher().verify("x", hash)).toBeFalse();
    expect(await scriptHasher.verify("x", hash)).toBeFalse();
  });
});

test("sha256Hex() gives the digest of FIPS 180", () => {
  expect(sha256Hex("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
