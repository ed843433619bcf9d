import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { redeemClaimCode } from "../../cloud/store/claim-store.ts";
import { authenticateEdge } from "../../cloud/store/edge-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface EdgeAnswer {
  readonly id: { readonly id: Uuid };
  readonly name: string;
  readonly routingKey: string;
  readonly secret: string;
}
interface ClaimAnswer {
  readonly claimCode: string;
  readonly expirationTime: number;
  readonly edge: EdgeAnswer;
}

const SECRET = "made-by-the-gateway-itself";
const newEdge = (): Promise<EdgeAnswer> => cloud.call("POST", "/api/edge", { name: `Edge ${(names += 1)}` });
const newCode = (edge: EdgeAnswer): Promise<ClaimAnswer> => cloud.call("POST", `/api/edge/${edge.id.id}/claimCode`);
const redeem = (code: string, secret = SECRET) =>
  cloud.database.db.transaction((tx) => redeemClaimCode(tx, cloud, { code, secret }));
const opens = async ({ routingKey }: EdgeAnswer, secret: string): Promise<boolean> =>
  (await authenticateEdge(cloud.database.db, { routingKey, secret })) !== null;

describe("a claim code", () => {
  test("is shown once, stored as a hash, and makes the gateway's secret the edge's", async () => {
    const edge = await newEdge();
    const { claimCode, expirationTime } = await newCode(edge);
    expect(claimCode).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(expirationTime - cloud.clock.nowMs()).toBeWithin(3_590_000, 3_600_001);
    const rows = await cloud.database.sql<{ row: string }[]>`select c::text as row from claim_code c`;
    expect(JSON.stringify(rows)).not.toContain(claimCode.replaceAll("-", ""));
    const typed = claimCode.toLowerCase().replaceAll("-", " ").replaceAll("0", "o").replaceAll("1", "l");
    expect(await redeem(typed)).toMatchObject({ edgeId: edge.id.id, routingKey: edge.routingKey, name: edge.name });
    expect([await opens(edge, SECRET), await opens(edge, edge.secret)]).toEqual([true, false]);
  });

  test("works once, but gives its answer again to who has the secret of the first time", async () => {
    const edge = await newEdge();
    const { claimCode } = await newCode(edge);
    expect((await redeem(claimCode)).fence).toBeNumber();
    expect(await redeem(claimCode)).toMatchObject({ edgeId: edge.id.id, fence: null });
    await expect(redeem(claimCode, "somebody else's secret")).rejects.toMatchObject({
      code: "CLAIM_REFUSED",
      message: "This claim code was used already; make another one in the cloud",
    });
    expect(await opens(edge, SECRET)).toBeTrue();
  });

  test("of two gateways at once lets one in", async () => {
    const edge = await newEdge();
    const { claimCode } = await newCode(edge);
    const secrets = Array.from({ length: 6 }, (_, index) => `secret of gateway ${index}`);
    const outcomes = await Promise.allSettled(secrets.map((secret) => redeem(claimCode, secret)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const winner = outcomes.findIndex(({ status }) => status === "fulfilled");
    expect(await opens(edge, secrets[winner] ?? "")).toBeTrue();
  });

  test("says that it is not known or has expired", async () => {
    await expect(redeem("0000-0000-0000-0000")).rejects.toThrow("does not know");
    const edge = await newEdge();
    const { claimCode } = await newCode(edge);
    cloud.clock.advance(3_600_000);
    await expect(redeem(claimCode)).rejects.toThrow("has expired");
    expect(await opens(edge, edge.secret)).toBeTrue();
  });

  test("is replaced by a later one, and goes with its edge", async () => {
    const edge = await newEdge();
    const [first, second] = [await newCode(edge), await newCode(edge)];
    await expect(redeem(first.claimCode)).rejects.toThrow("does not know");
    await cloud.call("DELETE", `/api/edge/${edge.id.id}`);
    await expect(redeem(second.claimCode)).rejects.toThrow("does not know");
  });

  test("can come with a new edge, whose secret nobody sees", async () => {
    const name = `Edge ${(names += 1)}`;
    const { claimCode, edge } = await cloud.call<ClaimAnswer>("POST", "/api/edge/claimCode", { name });
    expect(edge).toMatchObject({ name, secret: "********" });
    expect(await redeem(claimCode)).toMatchObject({ edgeId: edge.id.id });
    const taken = await cloud.request("POST", "/api/edge/claimCode", { body: { name } });
    expect(taken.json).toMatchObject({ status: 400, message: "Edge with such name already exists!" });
  });

  test("of another tenant's edge is not to be had", async () => {
    const edge = await newEdge();
    const answer = await cloud.request("POST", `/api/edge/${edge.id.id}/claimCode`, { token: cloud.second.token });
    expect(answer.status).toBe(404);
  });
});
