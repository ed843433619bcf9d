/** Randomness as an input: the runtimes use the operating system's, simulations a seeded one. */
export interface Random {
  /** Uniform in [0, 1). */
  float(): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/**
 * A seeded generator (splitmix32) for simulations and tests; never for secrets.
 *
 * @example
 * const random = createSeededRandom(42);
 * random.float(); // the same number in every run
 */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  const nextUint32 = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    float: () => nextUint32() / 0x1_0000_0000,
    bytes: (length) => Uint8Array.from({ length }, () => nextUint32() & 0xff),
  };
}

const TOKEN_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Random letters and digits, for access tokens, keys and secrets; `length` 20 carries 119 bits. */
export function createToken(random: Random, length: number): string {
  let token = "";
  while (token.length < length) {
    for (const byte of random.bytes(length * 2)) {
      // 248 = 4 * 62: bytes above it would favour the first letters.
      if (byte < 248 && token.length < length) token += TOKEN_ALPHABET.charAt(byte % 62);
    }
  }
  return token;
}
