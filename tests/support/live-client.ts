import { within } from "./wait-for.ts";

/** A WebSocket client of the REST API, for tests: what it got is read in order. */
export interface LiveClient extends AsyncDisposable {
  send(message: unknown): void;
  /** The next message. @throws Error when the connection ends first */
  next<T = Record<string, unknown>>(): Promise<T>;
  /** Why the server closed it. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

const WITHIN_MS = 15_000;

/** @param url as `http://127.0.0.1:8080/api/ws` */
export async function connectLive(url: string): Promise<LiveClient> {
  const socket = new WebSocket(url.replace(/^http/, "ws"));
  const received: string[] = [];
  const waiting: ((text: string) => void)[] = [];
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  const opened = Promise.withResolvers<void>();
  socket.addEventListener("open", () => opened.resolve());
  socket.addEventListener("message", ({ data }) => {
    const waiter = waiting.shift();
    if (waiter === undefined) received.push(String(data));
    else waiter(String(data));
  });
  socket.addEventListener("close", ({ code, reason }) => {
    closed.resolve({ code, reason });
    opened.reject(new Error(`Closed with ${code} ${reason}`));
  });
  await within("the connection", WITHIN_MS, opened.promise);
  return {
    closed: closed.promise,
    send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    async next<T>() {
      const arrived = received.shift();
      const text = arrived ?? (await within("a message", WITHIN_MS, arrival()));
      return JSON.parse(text) as T; // the test says what it expects
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await closed.promise;
    },
  };

  async function arrival(): Promise<string> {
    const ended = closed.promise.then(({ code, reason }) => {
      throw new Error(`Closed with ${code} ${reason}`);
    });
    return Promise.race([new Promise<string>((resolve) => waiting.push(resolve)), ended]);
  }
}
