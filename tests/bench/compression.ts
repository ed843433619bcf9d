import { gunzipSync, gzipSync } from "node:zlib";
import { createUuid } from "../../shared/core/ids.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { compress, decompress } from "../../shared/wire/compression.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { readReadings, WEATHER_PATH } from "../support/readings.ts";
import type { Measure } from "./measure.ts";

const DEVICES = 8;
/** What rows of the outbox are merged to. */
const RECORDS = 4_096;
const ROUNDS = 100;
const ROUNDS_QUICK = 10;

/**
 * What compressing and opening a row of 4,096 real readings costs, per message: by zstd, which the protocol uses, and by gzip at its
 * fastest for comparison.
 */
export const compression: Measure = {
  figures: {
    compress_zstd_us: "us",
    compress_zstd_bytes: "bytes",
    decompress_zstd_us: "us",
    compress_gzip_us: "us",
    compress_gzip_bytes: "bytes",
    decompress_gzip_us: "us",
  },
  async runOnce({ quick }) {
    const plain = await encodeReadings();
    const rounds = quick ? ROUNDS_QUICK : ROUNDS;
    const zstd = compress(plain);
    const gzip = gzipSync(plain, { level: 1 });
    if (zstd.compression !== "zstd") throw new Error("Expected the row to be compressed");
    const perMessageUs = (work: () => unknown): number => {
      const startedMs = performance.now();
      for (let round = 0; round < rounds; round += 1) work();
      return ((performance.now() - startedMs) * 1_000) / rounds / RECORDS;
    };
    return {
      compress_zstd_us: perMessageUs(() => compress(plain)),
      compress_zstd_bytes: zstd.payload.length / RECORDS,
      decompress_zstd_us: perMessageUs(() => decompress(zstd)),
      compress_gzip_us: perMessageUs(() => gzipSync(plain, { level: 1 })),
      compress_gzip_bytes: gzip.length / RECORDS,
      decompress_gzip_us: perMessageUs(() => gunzipSync(gzip)),
    };
  },
};

async function encodeReadings(): Promise<Uint8Array> {
  const readings = await readReadings(WEATHER_PATH);
  const devices = Array.from({ length: DEVICES }, () => createUuid(systemClock, systemRandom));
  const builder = new TelemetryColumnsBuilder();
  for (let index = 0; builder.count < RECORDS; index += 1) {
    const { ts, values } = readings[Math.floor(index / DEVICES) % readings.length] ?? { ts: 0, values: {} };
    const entityId = devices[index % DEVICES];
    if (entityId === undefined) throw new Error("Expected a device");
    const text = JSON.stringify(values) as CanonicalJson; // the readings are flat
    builder.add({ entityId, tsMs: ts, values: text, keySet: Object.keys(values).join("\n") });
  }
  return encodeTelemetry(builder.build());
}
