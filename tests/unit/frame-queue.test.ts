import { expect, test } from "bun:test";
import { FrameQueue } from "../../shared/sync/frame-queue.ts";
import type { Frame } from "../../shared/sync/frames.ts";
import { batch } from "./sync-values.ts";

const ping = (nonce: number): Frame => ({ type: "ping", nonce });
const telemetry = (firstSeq: number): Frame => batch({ lane: "telemetry", firstSeq, count: 1 });

async function drain(queue: FrameQueue): Promise<readonly Frame[]> {
  queue.close();
  return Array.fromAsync(queue);
}

test("FrameQueue lets other frames overtake batches, and keeps the order of each", async () => {
  const queue = new FrameQueue();
  for (const frame of [telemetry(1), ping(1), telemetry(2), ping(2)]) queue.push(frame);
  const order: Frame[] = [];
  for await (const frame of queue) {
    order.push(frame);
    if (order.length === 4) break;
  }
  expect(order).toEqual([ping(1), ping(2), telemetry(1), telemetry(2)]);
});

test("FrameQueue hands a frame to a reader that waits", async () => {
  const queue = new FrameQueue();
  const frames = queue[Symbol.asyncIterator]();
  const next = frames.next();
  queue.push(ping(1));
  expect((await next).value).toEqual(ping(1));
});

test("FrameQueue drops batches on close, delivers the rest, and takes nothing more", async () => {
  const queue = new FrameQueue();
  for (const frame of [telemetry(1), ping(1)]) queue.push(frame);
  queue.close();
  queue.push(ping(2));
  expect(await drain(queue)).toEqual([ping(1)]);
});

test("FrameQueue ends a reader that waits when it is closed", async () => {
  const queue = new FrameQueue();
  const next = queue[Symbol.asyncIterator]().next();
  queue.close();
  expect((await next).done).toBe(true);
});
