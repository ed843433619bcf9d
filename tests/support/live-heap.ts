import { heapStats } from "bun:jsc";
import type { FakeEdge } from "./fake-edge.ts";

/** Beyond what was live before: less than 50 bytes for each of 100,000 inputs is no leak of what came in. */
export const HEAP_GROWTH_BYTES_MAX = 4 * 1024 * 1024;

/** Bytes that are in use once everything that nobody holds is collected, without what the fake edge keeps as its database. */
export function measureLiveHeap({ claims, provisionRequests, records, told }: FakeEdge): number {
  for (const stored of [claims, provisionRequests, records, told]) stored.length = 0;
  Bun.gc(true);
  const { extraMemorySize, heapSize } = heapStats();
  return heapSize + extraMemorySize;
}
