import { backoffDelayMs } from "../shared/core/backoff.ts";
import type { Clock } from "../shared/core/clock.ts";
import { AppError } from "../shared/core/errors.ts";
import { createToken, type Random } from "../shared/core/random.ts";
import type { PrivateFiles } from "./api/local-access.ts";

// How a fresh gateway becomes an edge. It makes its secret itself, and keeps it in a file until the cloud has taken it: a call whose answer
// was lost, or a process that died, can be repeated with the same code.

export interface EnrolledAs {
  readonly edgeKey: string;
  readonly edgeName: string;
}

export interface EnrollCall {
  readonly cloudUrl: string;
  /** Certificates to trust beside the system's, PEM. */
  readonly caPem: string | undefined;
  readonly claimCode: string;
  readonly secret: string;
}

export interface EnrollmentDeps {
  readonly files: PrivateFiles;
  readonly clock: Clock;
  readonly random: Random;
  /** @throws AppError CLAIM_REFUSED, NO_ROUTE, CERTIFICATE_REFUSED, LINK_DOWN */
  readonly call: (call: EnrollCall) => Promise<EnrolledAs>;
}

export interface Enrollment extends Omit<EnrollCall, "secret"> {
  readonly dataDir: string;
  /** The file that gets address, key and secret; what else is in it stays. */
  readonly settingsFile: string;
  /** Further settings for it. */
  readonly settings: Readonly<Record<string, string | boolean>>;
}

/** 62^43 is more than 2^256. */
const SECRET_LENGTH = 43;
const ATTEMPTS_MAX = 5;

/**
 * Exchanges the code for the identity of an edge and stores that.
 *
 * @throws AppError CLAIM_REFUSED, DIRECTORY_UNWRITABLE, CONFIG_INVALID, and what the link fails with
 */
export async function enroll(deps: EnrollmentDeps, enrollment: Enrollment): Promise<EnrolledAs> {
  const { dataDir, settingsFile, settings, cloudUrl, caPem, claimCode } = enrollment;
  const { files } = deps;
  const pendingFile = `${dataDir.replace(/\/+$/, "")}/enrollment.json`;
  const stored = readObject(files, settingsFile);
  const secret = readPending(files, pendingFile) ?? createToken(deps.random, SECRET_LENGTH);
  write(files, pendingFile, { secret });
  const enrolled = await callPatiently(deps, { cloudUrl, caPem, claimCode, secret });
  const identity = { cloudUrl, edgeKey: enrolled.edgeKey, edgeSecret: secret };
  write(files, settingsFile, { ...stored, ...settings, ...identity });
  files.remove(pendingFile);
  return enrolled;
}

async function callPatiently({ call, clock, random }: EnrollmentDeps, wanted: EnrollCall): Promise<EnrolledAs> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call(wanted);
    } catch (error) {
      const isFinal = !(error instanceof AppError && error.retryable) || attempt === ATTEMPTS_MAX;
      if (isFinal) throw error;
      await clock.sleep(backoffDelayMs(attempt, random));
    }
  }
}

function readPending(files: PrivateFiles, path: string): string | null {
  const secret = readObject(files, path)["secret"];
  return typeof secret === "string" && secret.length >= SECRET_LENGTH ? secret : null;
}

/** Empty when there is no such file. @throws AppError CONFIG_INVALID */
function readObject(files: PrivateFiles, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(files.read(path) ?? "{}");
  } catch {
    // What JSON.parse says quotes the text, which may be a secret.
    value = null;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new AppError("CONFIG_INVALID", `File ${path} is not a JSON object`);
}

function write(files: PrivateFiles, path: string, content: object): void {
  try {
    files.write(path, `${JSON.stringify(content, null, 2)}\n`);
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new AppError("DIRECTORY_UNWRITABLE", `Can't write ${path} (${reason})`, { cause: error });
  }
}
