import { readFileSync } from "node:fs";
import { createServer } from "node:net";

/**
 * `count` free TCP ports of loopback that the system gives to nobody by itself: a program that is down for a moment finds
 * its port again, and a client that tries meanwhile can't be connected to itself.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const [ephemeral = 32_768] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/).map(Number);
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = PORT_MIN + Math.floor(Math.random() * (ephemeral - PORT_MIN));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

const PORT_MIN = 10_000;

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
