import { afterEach, describe, expect, test } from "bun:test";
import { serveHttp, type HttpServer } from "../../shared/runtime/http-server.ts";

const servers: HttpServer[] = [];
const serve = (
  fetch: Parameters<typeof serveHttp>[0]["fetch"],
  more: { readonly port?: number; readonly bodyBytesMax?: number } = {},
): HttpServer => {
  const server = serveHttp({ host: "127.0.0.1", port: 0, fetch, ...more });
  servers.push(server);
  return server;
};
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

describe("serveHttp()", () => {
  test("names the port that it got and the peer of a request", async () => {
    const server = serve((_, { remoteAddress }) => new Response(remoteAddress));
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect(await (await fetch(server.url)).text()).toBe("127.0.0.1");
  });

  test("says which port is taken", () => {
    const { port } = serve(() => new Response());
    expect(() => serve(() => new Response(), { port })).toThrow(`Can't listen on 127.0.0.1:${port}: the port is taken`);
  });

  test("refuses a body above the limit with 413", async () => {
    const server = serve(async (request) => new Response(await request.text()), { bodyBytesMax: 10 });
    expect((await fetch(server.url, { method: "POST", body: "x".repeat(11) })).status).toBe(413);
  });

  test("lets a request under way end when it closes, and takes no new one", async () => {
    const arrived = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const server = serve(async () => {
      arrived.resolve();
      await release.promise;
      return new Response("done");
    });
    const answer = fetch(server.url);
    await arrived.promise;
    const closed = server.close(10_000);
    release.resolve();
    expect(await (await answer).text()).toBe("done");
    await closed;
    await expect(fetch(server.url)).rejects.toThrow();
  });

  test("cuts a request that does not end within the grace", async () => {
    const arrived = Promise.withResolvers<void>();
    const server = serve(() => {
      arrived.resolve();
      return new Promise<Response>(() => undefined);
    });
    const answer = fetch(server.url).catch((error: unknown) => error);
    await arrived.promise;
    await server.close(10);
    expect(await answer).toBeInstanceOf(Error);
  });
});
