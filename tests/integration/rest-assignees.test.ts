import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: Uuid; readonly token: string };
beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

describe("users that an alarm may be assigned to", () => {
  test("are the administrators, and those of the customer that has its originator", async () => {
    const { customerId } = customer;
    const [own, others] = [
      await cloud.call<{ id: object }>("POST", "/api/device", {
        name: "Of the customer",
        customerId: { id: customerId },
      }),
      await cloud.call<{ id: object }>("POST", "/api/device", { name: "Of nobody" }),
    ];
    const raise = (originator: object) =>
      cloud.call<{ id: { id: Uuid } }>("POST", "/api/alarm", { originator, type: "Hot", severity: "MAJOR" });
    const [ofCustomer, ofNobody] = [await raise(own.id), await raise(others.id)];
    const list = async (alarm: { id: { id: Uuid } }, token = cloud.first.token) => {
      const path = `/api/users/assign/${alarm.id.id}?pageSize=100&page=0&sortProperty=email`;
      const answer = await cloud.request("GET", path, { token });
      const { data = [] } = (answer.json ?? {}) as { data?: { email: string }[] };
      return [answer.status, ...data.map(({ email }) => email)];
    };
    expect(await list(ofCustomer)).toEqual([200, "customer@example.com", "first@example.com"]);
    expect(await list(ofNobody)).toEqual([200, "first@example.com"]);
    expect(await list(ofCustomer, customer.token)).toEqual([200, "customer@example.com"]);
    expect(await list(ofNobody, customer.token)).toEqual([404]);
    expect(await list(ofCustomer, cloud.second.token)).toEqual([404]);
  });
});
