import { describe, expect, test } from "bun:test";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { commandsFor, type DeviceAccess } from "../../shared/rest/device-connectivity.ts";
import type { DeviceCredentials } from "../../shared/store/device-store.ts";

const ACCESS: DeviceAccess = {
  host: "edge.local",
  httpOrigin: "http://edge.local:8080",
  mqttPort: 1883,
  mqttsPort: 8883,
  coapPort: 5683,
};

function credentials(given: Partial<DeviceCredentials>): DeviceCredentials {
  const none = {
    id: NULL_UUID,
    deviceId: NULL_UUID,
    credentialsId: "",
    credentialsValue: null,
    version: 1,
    createdMs: 0,
  };
  return { credentialsType: "ACCESS_TOKEN", ...none, ...given };
}

describe("commandsFor()", () => {
  test("a token gives a command for each protocol that is open", () => {
    const commands = commandsFor(credentials({ credentialsId: "tok" }), { ...ACCESS, mqttsPort: null });
    expect(commands).toEqual({
      http: {
        http: `curl -v 'http://edge.local:8080/api/v1/tok/telemetry' -H 'Content-Type: application/json' -d '{"temperature":25}'`,
      },
      mqtt: {
        mqtt: [
          `mosquitto_pub -d -q 1 -h edge.local -p 1883 -t v1/devices/me/telemetry -u 'tok' -m '{"temperature":25}'`,
        ],
        docker: {
          mqtt: `docker run --rm --network host eclipse-mosquitto mosquitto_pub -d -q 1 -h edge.local -p 1883 -t v1/devices/me/telemetry -u 'tok' -m '{"temperature":25}'`,
        },
      },
      coap: {
        coap: `coap-client -v 6 -m POST 'coap://edge.local:5683/api/v1/tok/telemetry' -t json -e '{"temperature":25}'`,
        docker: { coap: expect.stringContaining("coap-client") as string },
      },
    });
    expect(commandsFor(credentials({ credentialsId: "tok" }), { ...ACCESS, coapPort: null })).not.toHaveProperty(
      "coap",
    );
  });

  test("a login gives MQTT alone, with the parts that are configured", () => {
    const credentialsValue = JSON.stringify({ clientId: "c 1", userName: "u", password: "p" });
    const commands = commandsFor(credentials({ credentialsType: "MQTT_BASIC", credentialsValue }), ACCESS);
    expect(Object.keys(commands)).toEqual(["mqtt"]);
    expect(commands.mqtt?.mqtt?.[0]).toContain("-i 'c 1' -u 'u' -P 'p' -m");
    expect(commands.mqtt?.mqtts?.[0]).toContain("-p 8883 --cafile edge.pem");
  });

  test("a certificate opens MQTT over TLS only, and nothing where that is off", () => {
    const certificate = credentials({ credentialsType: "X509_CERTIFICATE" });
    expect(commandsFor(certificate, ACCESS).mqtt).not.toHaveProperty("mqtt");
    expect(commandsFor(certificate, ACCESS).mqtt?.mqtts?.[0]).toContain("--cert device.pem --key device.key");
    expect(commandsFor(certificate, { ...ACCESS, mqttsPort: null })).toEqual({});
  });

  test("what a shell would read otherwise stays one word", async () => {
    const token = `a'b "$HOME" \`x\``;
    const [command = ""] = commandsFor(credentials({ credentialsId: token }), ACCESS).mqtt?.mqtt ?? [];
    const shell = Bun.spawn(["sh", "-c", `mosquitto_pub() { printf '%s\\n' "$@"; }; ${command}`]);
    const words = (await new Response(shell.stdout).text()).split("\n");
    expect(words[words.indexOf("-u") + 1]).toBe(token);
  });

  test("an address of IPv6 stands without brackets where it is a host alone", () => {
    const commands = commandsFor(credentials({ credentialsId: "tok" }), { ...ACCESS, host: "[::1]" });
    expect(commands.mqtt?.mqtt?.[0]).toContain("-h ::1 -p");
    expect(commands.coap?.coap).toContain("coap://[::1]:5683/");
  });
});
