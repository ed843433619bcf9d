import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { parseMqttLogin } from "../entities/device-credentials.ts";
import { findCredentials, type DeviceCredentials } from "../store/device-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { readableEntity } from "./resource.ts";
import { TENANT_ROLES, type RouteTable } from "./route.ts";

/** Where devices come in. */
export interface DeviceAccess {
  /** As it stands in an address. */
  readonly host: string;
  /** `http://edge:8080` */
  readonly httpOrigin: string;
  readonly mqttPort: number;
  /** null: not over TLS. */
  readonly mqttsPort: number | null;
  /** null: not over CoAP. */
  readonly coapPort: number | null;
}

export interface DeviceConnectivityDeps {
  readonly db: Queryable;
  /** @param asked the address of the request */
  readonly deviceAccess: (asked: URL) => DeviceAccess;
}

const commands = z.array(z.string());
const connectivitySchema = z
  .object({
    http: z.object({ http: z.string().optional(), https: z.string().optional() }).optional(),
    mqtt: z
      .object({
        mqtt: commands.optional(),
        mqtts: commands.optional(),
        docker: z.object({ mqtt: z.string().optional(), mqtts: z.string().optional() }),
      })
      .optional(),
    coap: z.object({ coap: z.string(), docker: z.object({ coap: z.string() }) }).optional(),
  })
  .meta({ id: "DeviceConnectivity" });
type Connectivity = z.output<typeof connectivitySchema>;

/** Commands that send a first value as the device; they hold its credentials. */
export function addDeviceConnectivityRoute(routes: RouteTable, { db, deviceAccess }: DeviceConnectivityDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/device-connectivity/{deviceId}",
      tag: "Devices",
      summary: "Commands for a shell that send a first value as the device, by protocol",
      access: TENANT_ROLES,
      answer: connectivitySchema,
    },
    async (call) => {
      const { id } = await readableEntity(db, call.principal, { type: "DEVICE", id: call.uuid("deviceId") });
      const credentials = await findCredentials(db, id);
      if (credentials === null) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
      return commandsFor(credentials, deviceAccess(new URL(call.request.url)));
    },
  );
}

const TOPIC = "v1/devices/me/telemetry";
const VALUE = quote('{"temperature":25}');

/** What the credentials open: a token every way, a login MQTT, a certificate MQTT over TLS. */
export function commandsFor(credentials: DeviceCredentials, access: DeviceAccess): Connectivity {
  const { credentialsId, credentialsType, credentialsValue } = credentials;
  switch (credentialsType) {
    case "ACCESS_TOKEN":
      return {
        ...httpCommands(credentialsId, access),
        ...mqttCommands(`-u ${quote(credentialsId)}`, access),
        ...coapCommands(credentialsId, access),
      };
    case "MQTT_BASIC": {
      const { clientId, password, userName } = parseMqttLogin(credentialsValue ?? "{}");
      const parts = [
        ["-i", clientId],
        ["-u", userName],
        ["-P", password],
      ] as const;
      return mqttCommands(
        parts.flatMap(([option, text]) => (text === null ? [] : [`${option} ${quote(text)}`])).join(" "),
        access,
      );
    }
    case "X509_CERTIFICATE":
      return mqttCommands("--cert device.pem --key device.key", access, { plain: false });
    default:
      return credentialsType satisfies never;
  }
}

function httpCommands(token: string, { httpOrigin }: DeviceAccess): Pick<Connectivity, "http"> {
  const address = quote(`${httpOrigin}/api/v1/${encodeURIComponent(token)}/telemetry`);
  const command = `curl -v ${address} -H 'Content-Type: application/json' -d ${VALUE}`;
  return { http: httpOrigin.startsWith("https:") ? { https: command } : { http: command } };
}

function mqttCommands(
  login: string,
  { host, mqttPort, mqttsPort }: DeviceAccess,
  { plain = true }: { readonly plain?: boolean } = {},
): Pick<Connectivity, "mqtt"> {
  const publish = (port: number, more: string): string =>
    `mosquitto_pub -d -q 1 -h ${host.replaceAll(/[[\]]/g, "")} -p ${port}${more} -t ${TOPIC} ${login} -m ${VALUE}`;
  const inDocker = (command: string, files = ""): string =>
    `docker run --rm --network host${files} eclipse-mosquitto ${command}`;
  const overTcp = plain ? publish(mqttPort, "") : null;
  const overTls = mqttsPort === null ? null : publish(mqttsPort, " --cafile edge.pem");
  if (overTcp === null && overTls === null) return {};
  return {
    mqtt: {
      ...(overTcp === null ? {} : { mqtt: [overTcp] }),
      ...(overTls === null ? {} : { mqtts: [overTls] }),
      docker: {
        ...(overTcp === null ? {} : { mqtt: inDocker(overTcp) }),
        ...(overTls === null ? {} : { mqtts: inDocker(overTls, ' -v "$PWD:/files" -w /files') }),
      },
    },
  };
}

function coapCommands(token: string, { coapPort, host }: DeviceAccess): Pick<Connectivity, "coap"> {
  if (coapPort === null) return {};
  const address = quote(`coap://${host}:${coapPort}/api/v1/${encodeURIComponent(token)}/telemetry`);
  const options = `-v 6 -m POST ${address} -t json -e ${VALUE}`;
  const command = `coap-client ${options}`;
  const inDocker = quote(`apt-get -q update && apt-get -qy install libcoap3-bin && coap-client-notls ${options}`);
  return {
    coap: { coap: command, docker: { coap: `docker run --rm --network host debian:stable-slim sh -c ${inDocker}` } },
  };
}

/** One word of a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
