import type { ZodType } from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { LocalAccess } from "../api/local-access.ts";
import { LOCAL_SCHEME } from "../api/local-access.ts";

export interface LocalRequest {
  readonly url: string;
  readonly method: "GET" | "POST" | "DELETE";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly timeoutMs: number;
}

export interface LocalAnswer {
  readonly status: number;
  readonly body: string;
}

export interface EdgeClientDeps {
  /** Called at the first request. Throws when no edge runs. */
  readonly readAccess: () => LocalAccess;
  readonly send: (request: LocalRequest) => Promise<LocalAnswer>;
}

/** The REST interface of the running edge, as its administrator. */
export interface EdgeClient {
  get<T>(path: string, answer: ZodType<T>): Promise<T>;
  post<T>(path: string, body: unknown, answer: ZodType<T>): Promise<T>;
  delete<T>(path: string, answer: ZodType<T>): Promise<T>;
}

const TIMEOUT_MS = 15_000;
const EXCERPT_LENGTH_MAX = 200;

export function createEdgeClient(deps: EdgeClientDeps): EdgeClient {
  return {
    get: (path, answer) => call(deps, { method: "GET", path, body: undefined }, answer),
    post: (path, body, answer) => call(deps, { method: "POST", path, body: JSON.stringify(body) }, answer),
    delete: (path, answer) => call(deps, { method: "DELETE", path, body: undefined }, answer),
  };
}

interface Call {
  readonly method: LocalRequest["method"];
  readonly path: string;
  readonly body: string | undefined;
}

async function call<T>(deps: EdgeClientDeps, { method, path, body }: Call, schema: ZodType<T>): Promise<T> {
  const access = deps.readAccess();
  const headers = {
    "X-Authorization": `${LOCAL_SCHEME} ${access.token}`,
    Accept: "application/json",
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
  };
  const request = { url: `${access.http}${path}`, method, headers, body, timeoutMs: TIMEOUT_MS };
  const { status, body: text } = await deps.send(request).catch((error: unknown) => {
    throw unreachable(error, access.http);
  });
  if (status !== 200) throw refused(status, text, `${method} ${path.split("?")[0] ?? ""}`);
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new AppError("INTERNAL", `Edge at ${access.http} gave an answer that this version of the program can't read`);
  }
  return parsed.data;
}

function unreachable(error: unknown, http: string): AppError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const isTimeout = error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
  if (isTimeout)
    return new AppError("TOO_MANY_REQUESTS", `Edge at ${http} gave no answer within ${TIMEOUT_MS} ms`, {
      cause: error,
    });
  const reason = code === "ECONNREFUSED" ? "it was killed or is about to stop" : code;
  return new AppError("NOT_FOUND", `No edge answers at ${http} (${reason}); start it again`, { cause: error });
}

/** What the edge says in its error object, as an error of this side. */
function refused(status: number, text: string, what: string): AppError {
  const answer = parseJson(text);
  const message =
    typeof answer === "object" && answer !== null && "message" in answer && typeof answer.message === "string"
      ? answer.message
      : text.slice(0, EXCERPT_LENGTH_MAX);
  if (status === 401)
    return new AppError("UNAUTHENTICATED", "Edge was started again meanwhile, or runs in another directory; try again");
  return new AppError(
    status < 500 ? "INVALID_ARGUMENT" : "INTERNAL",
    `Edge refused ${what} with status ${status}: ${message}`,
  );
}

/** Undefined for what is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
