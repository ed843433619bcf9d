/**
 * A TCP proxy in this process that stands for a bad link: the kernel of a container has no netem.
 *
 * Modes: `pass` forwards; `refuse` resets each new connection; `stall` moves no byte either way and closes nothing, as a
 * link that went half-open; `mute` does so with what the target answers only, as when its acknowledgements get lost. Both
 * keep what they have read and go on with `pass`. `cut()` ends the connections of now.
 */
import { connect, createServer, type NetConnectOpts, type Socket } from "node:net";

export type LinkMode = "pass" | "refuse" | "stall" | "mute";

export interface LinkOptions {
  /** One way, in ms. @default 0 */
  readonly delayMs?: number;
  /** Bytes per second and direction; 0: no limit. @default 0 */
  readonly bytesPerS?: number;
}

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Connections that are open now. */
  readonly open: number;
  /** Connections that were taken so far. */
  readonly accepted: number;
  /** Bytes that came in so far, both directions together. */
  readonly bytes: number;
  setMode(mode: LinkMode): void;
  setLink(options: LinkOptions): void;
  /** New connections go there, as behind a load balancer. */
  setTarget(target: string): void;
  /** Resets every open connection that was not forgotten; new ones follow the mode. */
  cut(): void;
  /** The open connections stay silent for ever, whatever happens; new ones follow the mode. */
  forget(): void;
}

/** What may wait in the proxy per direction before it stops reading: without a rate as much as any window. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;
/** On a link with a rate, what waits before it, at most; less on a slow one: what it carries in a second. */
const QUEUE_BYTES_MAX = 256 * 1024;
/** Parts in which a slow link carries what it was given at once. */
const PARTS_PER_S = 20;
const PART_BYTES_MIN = 256;

interface Link {
  mode: LinkMode;
  delayMs: number;
  bytesPerS: number;
  bytes: number;
}

interface Pair {
  readonly sockets: readonly [Socket, Socket];
  forgotten: boolean;
  wake(): void;
}

/** @param target `http://127.0.0.1:7070` or the like: only host and port count; or the path of a unix socket */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  let address = parseTarget(target);
  const link: Link = { mode: "pass", delayMs: 0, bytesPerS: 0, bytes: 0 };
  const pairs = new Set<Pair>();
  let accepted = 0;
  const server = createServer((client) => {
    accepted += 1;
    if (link.mode === "refuse") {
      client.resetAndDestroy();
      return;
    }
    openPair(client, connect(address), link, pairs);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const ownAddress = server.address();
  const ownPort = typeof ownAddress === "object" && ownAddress !== null ? ownAddress.port : 0;
  const cut = (those: (pair: Pair) => boolean): void => {
    for (const pair of pairs) {
      if (!those(pair)) continue;
      pairs.delete(pair);
      for (const socket of pair.sockets) socket.resetAndDestroy();
    }
  };
  return {
    port: ownPort,
    url: `http://127.0.0.1:${ownPort}`,
    get open() {
      return pairs.size;
    },
    get accepted() {
      return accepted;
    },
    get bytes() {
      return link.bytes;
    },
    setMode(mode) {
      link.mode = mode;
      for (const pair of pairs) pair.wake();
    },
    setLink({ delayMs = 0, bytesPerS = 0 }) {
      link.delayMs = delayMs;
      link.bytesPerS = bytesPerS;
    },
    setTarget(next) {
      address = parseTarget(next);
    },
    cut: () => cut((pair) => !pair.forgotten),
    forget() {
      for (const pair of pairs) pair.forgotten = true;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut(() => true);
      await closed;
    },
  };
}

function parseTarget(target: string): NetConnectOpts {
  if (target.startsWith("/")) return { path: target };
  const { hostname, port } = new URL(target);
  return { host: hostname, port: Number(port) };
}

function openPair(client: Socket, upstream: Socket, link: Link, pairs: Set<Pair>): void {
  const directions = [createDirection(upstream), createDirection(client)] as const;
  const pair: Pair = {
    sockets: [client, upstream],
    forgotten: false,
    wake: () => directions.forEach((direction) => direction.wake()),
  };
  pairs.add(pair);
  const isStill = (): boolean => pair.forgotten || link.mode === "stall";
  const isMute = (): boolean => isStill() || link.mode === "mute";
  directions[0].follow(client, link, isStill);
  directions[1].follow(upstream, link, isMute);
  for (const socket of pair.sockets) {
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (pair.sockets.every(({ destroyed }) => destroyed)) pairs.delete(pair);
      // The close of a peer does not get through a link that is silent.
      if (socket === upstream ? isMute() : isStill()) return;
      pairs.delete(pair);
      for (const other of pair.sockets) other.destroy();
    });
  }
}

interface Direction {
  follow(source: Socket, link: Link, isStill: () => boolean): void;
  wake(): void;
}

/** Chunks in order, each let go when its time has come. */
function createDirection(sink: Socket): Direction {
  const held: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
  let heldBytes = 0;
  let lastDueMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let flush = (): void => undefined;
  return {
    wake: () => flush(),
    follow(source, link, isStill) {
      flush = () => {
        clearTimeout(timer);
        while (!isStill()) {
          const next = held[0];
          if (next === undefined) break;
          const waitMs = next.dueMs - performance.now();
          if (waitMs > 0) {
            timer = setTimeout(flush, waitMs);
            return;
          }
          held.shift();
          heldBytes -= next.chunk.length;
          if (!sink.destroyed) sink.write(next.chunk);
        }
        if (heldBytes < roomBytes(link)) source.resume();
        // A peer that closed while the link was silent: the other one learns of it now.
        if (source.destroyed && !isStill()) sink.destroy();
      };
      source.on("data", (chunk: Buffer) => {
        link.bytes += chunk.length;
        for (const part of split(chunk, link)) {
          const transferMs = link.bytesPerS === 0 ? 0 : (part.length / link.bytesPerS) * 1000;
          lastDueMs = Math.max(lastDueMs, performance.now() + link.delayMs) + transferMs;
          held.push({ chunk: part, dueMs: lastDueMs });
        }
        heldBytes += chunk.length;
        if (heldBytes >= roomBytes(link)) source.pause();
        flush();
      });
      source.on("close", () => clearTimeout(timer));
    },
  };
}

function roomBytes({ bytesPerS, delayMs }: Link): number {
  if (bytesPerS === 0) return HELD_BYTES_MAX;
  return Math.min(QUEUE_BYTES_MAX, bytesPerS) + (bytesPerS * delayMs) / 1000;
}

function* split(chunk: Buffer, { bytesPerS }: Link): Generator<Buffer> {
  const partBytes = bytesPerS === 0 ? chunk.length : Math.max(PART_BYTES_MIN, Math.ceil(bytesPerS / PARTS_PER_S));
  for (let start = 0; start < chunk.length; start += partBytes) yield chunk.subarray(start, start + partBytes);
}
