import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import { createToken } from "../../shared/core/random.ts";
import type { Authenticator } from "../../shared/rest/principal.ts";
import { authenticationFailed } from "../../shared/rest/principal.ts";

// How the commands of the program (status, devices, events) get into the running edge: at each start it writes its address and a
// new token to a file that only its user may read. Whoever can read that file owns the database of the edge anyway.

/** Where the running edge answers the commands of its own machine. */
export interface LocalAccess {
  /** `http://127.0.0.1:8080` */
  readonly http: string;
  readonly token: string;
}

/** Files for their owner only, mode 0600. */
export interface PrivateFiles {
  /** In one step: a reader sees the old text or the new one. */
  write(path: string, text: string): void;
  /** Null when there is no such file. */
  read(path: string): string | null;
  remove(path: string): void;
}

/** Scheme of the token in X-Authorization, beside `Bearer` and `ApiKey` of the REST convention. */
export const LOCAL_SCHEME = "local";

const FILE_NAME = "local-access.json";
/** 62^43 is more than 2^256. */
const TOKEN_LENGTH = 43;

export interface LocalAccessDeps {
  readonly files: PrivateFiles;
  readonly random: Random;
  /** Of the edge, as it is at the moment of the call. */
  readonly readTenantId: () => Uuid | Promise<Uuid>;
}

export interface LocalAccessKeeper {
  /** Whoever shows the token of this start counts as administrator of the edge's tenant. */
  readonly authenticator: Authenticator;
  /** Call it once HTTP listens: commands see the edge from now on. */
  open(http: string): void;
  /** Commands see that the edge does not run. */
  close(): void;
}

/** The side of the running edge. */
export function createLocalAccess(deps: LocalAccessDeps, dataDir: string): LocalAccessKeeper {
  const path = localAccessPath(dataDir);
  const token = createToken(deps.random, TOKEN_LENGTH);
  return {
    authenticator: {
      scheme: LOCAL_SCHEME,
      authenticate: async (given) => {
        if (!equalTexts(given, token)) throw authenticationFailed();
        const tenantId = await deps.readTenantId();
        // Nobody's account: what asks for the user of the token finds none.
        return { userId: NULL_UUID, tenantId, customerId: null, authority: "TENANT_ADMIN", sessionId: null };
      },
    },
    open: (http) => {
      const access: LocalAccess = { http, token };
      deps.files.write(path, `${JSON.stringify(access)}\n`);
    },
    close: () => deps.files.remove(path),
  };
}

/**
 * The side of the commands.
 *
 * @throws AppError NOT_FOUND when no edge runs there, PERMISSION_DENIED when the file can't be read
 */
export function readLocalAccess(files: Pick<PrivateFiles, "read">, dataDir: string): LocalAccess {
  const path = localAccessPath(dataDir);
  let text: string | null;
  try {
    text = files.read(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw new AppError("PERMISSION_DENIED", `Can't read ${path} (${code}); use the account that runs the edge`, {
      cause: error,
    });
  }
  if (text === null) {
    throw new AppError("NOT_FOUND", `No edge runs in ${dataDir}; start it, or name its directory with --data-dir`);
  }
  const access = parseAccess(text);
  if (access === null) throw new AppError("INTERNAL", `File ${path} is damaged; start the edge again`);
  return access;
}

function localAccessPath(dataDir: string): string {
  return `${dataDir.replace(/\/+$/, "")}/${FILE_NAME}`;
}

function parseAccess(text: string): LocalAccess | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { http, token } = value as Partial<Record<string, unknown>>; // each member is checked in the next line
    return typeof http === "string" && URL.canParse(http) && typeof token === "string" ? { http, token } : null;
  } catch {
    return null;
  }
}

/** In time that does not depend on where they differ. */
function equalTexts(given: string, expected: string): boolean {
  if (given.length !== expected.length) return false;
  let difference = 0;
  for (let index = 0; index < expected.length; index += 1) {
    difference |= given.charCodeAt(index) ^ expected.charCodeAt(index);
  }
  return difference === 0;
}
