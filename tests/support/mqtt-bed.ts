import type { Packet } from "mqtt-packet";
import { createMqttServer, type MqttServer, type MqttServerOptions } from "../../edge/devices/mqtt-server.ts";
import { listenTcp, type TcpServer } from "../../edge/runtime/tcp-server.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createFakeEdge, type FakeEdge } from "./fake-edge.ts";
import { RawMqttClient } from "./raw-mqtt-client.ts";
import { waitFor } from "./wait-for.ts";

/** The MQTT server over the ports in memory, on a port of its own, with a clock that the test moves. */
export interface MqttBed {
  readonly edge: FakeEdge;
  readonly server: MqttServer;
  readonly listener: TcpServer;
  readonly port: number;
  /** Ends the server as a signal does. */
  stop(): void;
  /** A connection that was accepted; destroyed with the bed. */
  login(version?: 3 | 4 | 5, username?: string, more?: object): Promise<RawMqttClient>;
  /** Destroys the client with the bed. */
  keep(client: RawMqttClient): RawMqttClient;
  /** Moves the clock by tenths of a second, each after what the last one set going. */
  advanceUntil(condition: () => boolean): Promise<true>;
  /** Ends everything; what waits for a commit gets it. */
  finish(): Promise<void>;
}

/** @param edge of a bed that is finished: the server starts again over what it has stored */
export async function openMqttBed(options: MqttServerOptions = {}, edge = createFakeEdge()): Promise<MqttBed> {
  const server = createMqttServer({ ...edge, log: silentLog }, options);
  const listener = await listenTcp({ host: "127.0.0.1", port: 0, accept: server.accept });
  const stop = new AbortController();
  const running = server.run(stop.signal);
  const clients: RawMqttClient[] = [];

  function keep(client: RawMqttClient): RawMqttClient {
    clients.push(client);
    return client;
  }

  async function finish(): Promise<void> {
    edge.release();
    for (const client of clients) client.destroy();
    await listener[Symbol.asyncDispose]();
    stop.abort();
    let isOver = false;
    void running.then(() => (isOver = true));
    await waitFor("the server to stop", () => isOver || edge.clock.advance(1000), { intervalMs: 1 });
    if (edge.listeners !== 0) throw new Error("The server still listens to events");
  }

  return {
    edge,
    server,
    listener,
    port: listener.port,
    stop: () => stop.abort(),
    login: async (version = 4, username = "token-a", more = {}) => {
      const client = keep(await RawMqttClient.login(listener.port, version, { username, ...more }));
      await client.until(() => client.packets.length > 0);
      const { returnCode, reasonCode } = await client.take("connack");
      if ((returnCode ?? reasonCode) !== 0) throw new Error(`The connection was refused: ${returnCode ?? reasonCode}`);
      return client;
    },
    keep,
    advanceUntil: (condition) =>
      eventually(() => {
        if (condition()) return true;
        edge.clock.advance(100);
        return false;
      }),
    finish,
  };
}

export function message(topic: string, payload: string | Buffer, messageId = 1, qos: 0 | 1 | 2 = 1): Packet {
  return { cmd: "publish", topic, payload, qos, dup: false, retain: false, ...(qos === 0 ? {} : { messageId }) };
}

/** For what no packet tells. */
export function eventually(condition: () => boolean): Promise<true> {
  return waitFor("what the test is about", condition, { deadlineMs: 5000, intervalMs: 1 });
}

/** A round trip: everything sent before was processed. */
export async function roundTrip(client: RawMqttClient): Promise<void> {
  client.send({ cmd: "pingreq" });
  await client.take("pingresp");
}
