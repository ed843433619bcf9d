import { argon2idAsync } from "@noble/hashes/argon2.js";
import type { PasswordHasher } from "../store/user-store.ts";
import { systemRandom } from "./system-random.ts";

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. About 30 ms on a server, a second on a small gateway. */
const COST = { memoryKib: 19_456, passes: 2, lanes: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, base64 without padding. */
const PHC_PATTERN = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** argon2id in PHC form: Bun's own where there is one (a thread of its own), else in JavaScript, with the same strings. */
export function createPasswordHasher(): PasswordHasher {
  return typeof Bun === "undefined" ? scriptHasher : bunHasher;
}

const bunHasher: PasswordHasher = {
  hash: (password) =>
    Bun.password.hash(password, { algorithm: "argon2id", memoryCost: COST.memoryKib, timeCost: COST.passes }),
  // Bun throws at what it does not know as a hash.
  verify: (password, hash) => (PHC_PATTERN.test(hash) ? Bun.password.verify(password, hash) : Promise.resolve(false)),
};

/** For runtimes without argon2; exported for the test that compares both. */
export const scriptHasher: PasswordHasher = {
  async hash(password) {
    const salt = systemRandom.bytes(SALT_BYTES);
    const digest = await derive(password, salt, COST, HASH_BYTES);
    const { memoryKib, passes, lanes } = COST;
    return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${toBase64(salt)}$${toBase64(digest)}`;
  },
  async verify(password, hash) {
    const match = PHC_PATTERN.exec(hash);
    if (match === null) return false;
    const [, memoryKib = "", passes = "", lanes = "", salt = "", expectedText = ""] = match;
    const expected = fromBase64(expectedText);
    const cost = { memoryKib: Number(memoryKib), passes: Number(passes), lanes: Number(lanes) };
    return equalBytes(await derive(password, fromBase64(salt), cost, expected.length), expected);
  },
};

interface Cost {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

function derive(password: string, salt: Uint8Array, cost: Cost, hashBytes: number): Promise<Uint8Array> {
  return argon2idAsync(password, salt, { m: cost.memoryKib, t: cost.passes, p: cost.lanes, dkLen: hashBytes });
}

/** In time that does not depend on where they differ. */
function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (const [index, byte] of left.entries()) difference |= byte ^ (right[index] ?? 0);
  return difference === 0;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("=", "");
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
