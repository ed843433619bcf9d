import { expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { waitForDrain } from "../support/edge-status.ts";
import { connectDevice } from "../support/mqtt-device.ts";
import type { RestClient } from "../support/rest-client.ts";
import { withTestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

// A device that nobody has entered comes to a site without a link: it makes itself known, sends what it measures by CoAP, and loads the
// firmware of its profile. The cloud learns of all of it later.

// A stock client that is not on every machine (Debian: libcoap3-bin); the same requests are tested without it in coap-server.test.ts.
const COAP_CLIENT = Bun.which("coap-client") ?? Bun.which("coap-client-notls");
const FIRMWARE = new Uint8Array(randomBytes(100_000));
const CHECKSUM = createHash("sha256").update(FIRMWARE).digest("hex");

test.skipIf(COAP_CLIENT === null)(
  "a new device at a site without a link is known, measures and loads its firmware",
  async () => {
    await withTestBed(async (bed) => {
      const cloud = await bed.startCloud();
      const { cloudApi, edge, edgeApi } = await bed.startSite(cloud);
      const profile = { name: "Pump", provisionType: "ALLOW_CREATE_NEW_DEVICES", provisionDeviceKey: "key" };
      const provisionConfiguration = { type: profile.provisionType, provisionDeviceSecret: "secret" };
      await cloudApi.request("POST", "/api/deviceProfile", {
        ...profile,
        profileData: { provisionConfiguration },
        firmwareId: await uploadFirmware(cloudApi),
      });
      await waitFor("the profile on the edge", async () => {
        const names = await edgeApi.request<{ name: string }[]>("GET", "/api/deviceProfile/names");
        return names.some(({ name }) => name === "Pump");
      });
      await cloud.kill();

      const token = await provision(edge.addresses.mqtt);
      const coap = edge.addresses.coap ?? "";
      const run = (...args: string[]) => Bun.$`${COAP_CLIENT ?? ""} -B 20 ${args} 2>&1`.text();
      const answer = await run("-m", "post", "-e", '{"ts":5,"values":{"t":21.5}}', `${coap}/api/v1/${token}/telemetry`);
      expect(answer.trim()).toBe("");
      await using device = await bed.connectDevice(edge, token);
      await device.publish("v1/devices/me/attributes/request/1", { sharedKeys: "fw_version,fw_checksum,fw_size" });
      const answered = await waitFor("the firmware to be announced", async () => {
        await device.publish("v1/devices/me/attributes/request/1", { sharedKeys: "fw_version,fw_checksum,fw_size" });
        const last = device.received.findLast(({ topic }) => topic === "v1/devices/me/attributes/response/1");
        return last?.payload.includes("fw_size") === true && last.payload;
      });
      const shared = { fw_version: "1.0", fw_checksum: CHECKSUM, fw_size: FIRMWARE.length };
      expect(JSON.parse(answered)).toEqual({ shared });
      const overHttp = await fetch(`${edge.addresses.http}/api/v1/${token}/firmware?title=Pump&version=1.0`);
      expect(checksum(await overHttp.bytes())).toBe(CHECKSUM);
      const file = `${await bed.createFolder("device")}/firmware`;
      await run("-o", file, `${coap}/fw/${token}`);
      expect(checksum(await Bun.file(file).bytes())).toBe(CHECKSUM);
      await cloud.restart();
      const known = await waitFor("the device in the cloud", () => cloudApi.findDevice("Pump 1"));
      await waitForDrain(edge);
      const history = await cloudApi.readHistory(known.id);
      expect(history[0]).toEqual({ ts: 5, values: { t: 21.5 } });
      expect(JSON.stringify(history)).toContain("INITIATED");
      expect(await cloudApi.readAttributes(known.id, "SHARED_SCOPE")).toMatchObject(shared);
    });
  },
);

async function uploadFirmware(api: RestClient): Promise<{ readonly id: string }> {
  const info = { type: "FIRMWARE", title: "Pump", version: "1.0" };
  const { id } = await api.request<{ id: { id: string } }>("POST", "/api/otaPackage", info);
  const form = new FormData();
  form.set("file", new Blob([FIRMWARE]), "pump.bin");
  await api.request("POST", `/api/otaPackage/${id.id}?checksum=${CHECKSUM}&checksumAlgorithm=SHA256`, form);
  return id;
}

/** By MQTT, as user `provision`. @returns the token that the device gets */
async function provision(url: string): Promise<string> {
  await using connection = await connectDevice(url, "provision", { reconnectPeriod: 0 });
  await connection.subscribe("/provision/response");
  const request = { deviceName: "Pump 1", provisionDeviceKey: "key", provisionDeviceSecret: "secret" };
  await connection.publish("/provision/request", request);
  const answer = (await connection.waitForMessage("/provision/response")) as { readonly credentialsValue: string };
  expect(answer).toMatchObject({ status: "SUCCESS", credentialsType: "ACCESS_TOKEN" });
  return answer.credentialsValue;
}

function checksum(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
