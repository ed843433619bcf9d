import { expect, test } from "bun:test";
import { isConnected, waitForLink } from "../support/edge-status.ts";
import { connectDevice } from "../support/mqtt-device.ts";
import type { RestClient } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { withTestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

interface Rpc {
  readonly status: string;
  readonly response: unknown;
  readonly trail: readonly { readonly status: string; readonly attempt: number }[];
}

const REQUESTS = "v1/devices/me/rpc/request";

test("requests to a device wait through an outage of edge and device, and are carried out once though the edge is killed", () =>
  withTestBed(async (bed) => {
    const cloud = await bed.startCloud();
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const site = await bed.startSite(cloud, { cloudUrl: proxy.url });
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const device = await cloudApi.createDevice("Valve");
    await cloudApi.assignDevice(edgeId, device.id);
    await waitFor("the device to be on the edge", async () => (await edgeApi.getDevice(device.id)) !== undefined);
    const read = (api: RestClient, id: string): Promise<Rpc> => api.request("GET", `/api/rpc/persistent/${id}`);
    const queue = async (method: string): Promise<string> => {
      const body = { method, params: { open: true }, persistent: true, retries: 0, timeout: 600_000 };
      return (await cloudApi.request<{ rpcId: string }>("POST", `/api/rpc/twoway/${device.id}`, body)).rpcId;
    };
    await edge.kill();
    const [wanted, deleted] = [await queue("wanted"), await queue("deleted")];
    await cloudApi.request("DELETE", `/api/rpc/persistent/${deleted}`);
    expect((await read(cloudApi, wanted)).status).toBe("QUEUED");
    await edge.restart();
    await waitForLink(edge);
    await waitFor("the request to be on the edge", async () => (await read(edgeApi, wanted)).status === "QUEUED");

    // The link is down when the device does it, and the edge is killed before it is back.
    proxy.setMode("refuse");
    proxy.cut();
    await waitFor("the edge to notice", async () => !(await isConnected(edge)));
    await using first = await connectDevice(edge.addresses.mqtt, device.token, { reconnectPeriod: 0 });
    await first.subscribe(`${REQUESTS}/+`);
    expect(await first.waitForMessage(`${REQUESTS}/0`)).toEqual({ method: "wanted", params: { open: true } });
    await first.publish("v1/devices/me/rpc/response/0", { done: true });
    await edge.kill();
    proxy.setMode("pass");
    await edge.restart();
    await waitForLink(edge);
    const done = await waitFor("the answer in the cloud", async () => {
      const rpc = await read(cloudApi, wanted);
      return rpc.status === "SUCCESSFUL" && rpc;
    });
    expect(done.response).toEqual({ done: true });
    expect(await read(edgeApi, wanted)).toEqual(done);
    expect(done.trail.map(({ status }) => status)).toEqual(["QUEUED", "SENT", "DELIVERED", "SUCCESSFUL"]);

    // The stock client answers what somebody waits for, over the link that is there again.
    await using device2 = await connectDevice(edge.addresses.mqtt, device.token);
    device2.client.on("message", (topic, payload) => {
      const { params } = JSON.parse(payload.toString()) as { params: unknown };
      void device2.publish(topic.replace("request", "response"), { echo: params });
    });
    await device2.subscribe(`${REQUESTS}/+`);
    for (const api of [cloudApi, edgeApi]) {
      const body = { method: "echo", params: [1, "two"] };
      expect(await api.request<unknown>("POST", `/api/rpc/twoway/${device.id}`, body)).toEqual({ echo: [1, "two"] });
    }
    expect(device2.received.map(({ payload }) => JSON.parse(payload) as object)).toEqual([
      { method: "echo", params: [1, "two"] },
      { method: "echo", params: [1, "two"] },
    ]);
  }));
