import type { Random } from "../core/random.ts";

/** What one call of getRandomValues may fill. */
const FILL_BYTES_MAX = 65_536;

/** The operating system's generator, fit for secrets. */
export const systemRandom: Random = {
  float: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 0x1_0000_0000,
  bytes: (length) => {
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length; offset += FILL_BYTES_MAX) {
      crypto.getRandomValues(bytes.subarray(offset, offset + FILL_BYTES_MAX));
    }
    return bytes;
  },
};
