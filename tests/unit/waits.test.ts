import { describe, expect, test } from "bun:test";
import { Waits } from "../../edge/devices/waits.ts";
import { createSteppedClock, DEVICE_A, DEVICE_B } from "../support/fake-edge.ts";

const FOREVER = new AbortController().signal;

function createWaits(limits = {}) {
  const clock = createSteppedClock(0);
  return { clock, waits: new Waits<string>(clock, limits) };
}

describe("Waits", () => {
  test("answerAll() answers every request of the device, and of no other", async () => {
    const { clock, waits } = createWaits();
    const ofA = [waits.next(DEVICE_A, 10, FOREVER), waits.next(DEVICE_A, 10, FOREVER)];
    const ofB = waits.next(DEVICE_B, 10, FOREVER);
    waits.answerAll(DEVICE_A, "changed");
    expect(await Promise.all(ofA)).toEqual(["changed", "changed"]);
    expect(waits.count).toBe(1);
    clock.advance(10);
    expect(await ofB).toBeNull();
    expect(waits.count).toBe(0);
  });
  test("answerOne() answers the request that waits the longest, and says when there is none", async () => {
    const { waits } = createWaits();
    const first = waits.next(DEVICE_A, 10, FOREVER);
    const second = waits.next(DEVICE_A, 10, FOREVER);
    expect(waits.answerOne(DEVICE_A, "1")).toBe(true);
    expect(waits.answerOne(DEVICE_A, "2")).toBe(true);
    expect(waits.answerOne(DEVICE_A, "3")).toBe(false);
    expect(await Promise.all([first, second])).toEqual(["1", "2"]);
  });
  test("next() refuses more requests of one device than its limit, and still serves the others", async () => {
    const { clock, waits } = createWaits({ waitsPerDeviceMax: 2 });
    const held = [waits.next(DEVICE_A, 10, FOREVER), waits.next(DEVICE_A, 10, FOREVER)];
    expect(waits.next(DEVICE_A, 10, FOREVER)).rejects.toMatchObject({ code: "TOO_MANY_REQUESTS" });
    held.push(waits.next(DEVICE_B, 10, FOREVER));
    clock.advance(10);
    expect(await Promise.all(held)).toEqual([null, null, null]);
    expect(waits.count).toBe(0);
  });
  test("next() ends with its signal, also when it was aborted before", async () => {
    const { waits } = createWaits();
    const client = new AbortController();
    const held = waits.next(DEVICE_A, 10, client.signal);
    client.abort();
    expect(await held).toBeNull();
    expect(await waits.next(DEVICE_A, 10, client.signal)).toBeNull();
    expect(waits.count).toBe(0);
  });
});
