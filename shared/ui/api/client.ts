import type { Session } from "./session.ts";

type InputOf<Operation> = Pick<Operation, Extract<keyof Operation, "path" | "query" | "body">>;
type Arguments<Input> = object extends Input ? [input?: Input] : [input: Input];
type AnswerOf<Operation> = Operation extends { readonly answer: infer Answer } ? Answer : never;

/** The REST API of one end; names, inputs and answers are those of its routes (`*.gen.ts`). */
export interface Client<Operations> {
  /**
   * `call("GET /api/edge/{edgeId}", { path: { edgeId } })`
   *
   * @throws ApiError
   */
  call<Name extends keyof Operations & string>(
    name: Name,
    ...input: Arguments<InputOf<Operations[Name]>>
  ): Promise<AnswerOf<Operations[Name]>>;
}

/** What the server answered in place of what was asked for; the message is for people. */
export class ApiError extends Error {
  /** 0: there was no answer. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface AnyInput {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
}

export function createClient<Operations>(session: Session, unreachable: string): Client<Operations> {
  const send = async (name: string, input: AnyInput): Promise<Response> => {
    const [method = "GET", template = ""] = name.split(" ");
    const token = await session.token();
    const headers: Record<string, string> = {};
    if (token !== null) headers["x-authorization"] = `Bearer ${token}`;
    if (input.body !== undefined) headers["content-type"] = "application/json";
    const body = input.body === undefined ? {} : { body: JSON.stringify(input.body) };
    return await fetch(addressOf(template, input), { method, headers, ...body });
  };
  return {
    call: async (name, ...[input]) => {
      try {
        const given: AnyInput = input ?? {};
        const first = await send(name, given);
        const response = first.status === 401 && (await session.renew()) ? await send(name, given) : first;
        return (await readAnswer(response)) as never; // as the routes declare it
      } catch (thrown) {
        throw thrown instanceof ApiError ? thrown : new ApiError(0, unreachable);
      }
    },
  };
}

function addressOf(template: string, { path = {}, query = {} }: AnyInput): string {
  const filled = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ""));
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") parameters.set(name, `${value}`);
  }
  return parameters.size === 0 ? filled : `${filled}?${parameters.toString()}`;
}

async function readAnswer(response: Response): Promise<unknown> {
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
  const value: unknown = isJson && text !== "" ? JSON.parse(text) : text;
  if (response.ok) return value;
  const message = (value as { readonly message?: unknown } | null)?.message;
  throw new ApiError(response.status, typeof message === "string" ? message : response.statusText);
}
