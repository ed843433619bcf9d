/** A client that sends any bytes and keeps what comes back, for what stock clients refuse to do. */
import { connect, type Socket } from "node:net";
import { generate, type IConnectPacket, type Packet, parser } from "mqtt-packet";

export class RawMqttClient {
  readonly packets: Packet[] = [];
  readonly #socket: Socket;
  readonly #version: 3 | 4 | 5;
  #closed = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket, version: 3 | 4 | 5) {
    this.#socket = socket;
    this.#version = version;
    const reader = parser({ protocolVersion: version });
    reader.on("packet", (packet) => {
      this.packets.push(packet);
      this.#wake();
    });
    socket.on("data", (chunk: Buffer) => reader.parse(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static open(port: number, version: 3 | 4 | 5 = 4): Promise<RawMqttClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true }, () =>
        resolve(new RawMqttClient(socket, version)),
      );
      socket.once("error", reject);
    });
  }

  /** Opens and sends CONNECT; the first packet is the CONNACK. */
  static async login(
    port: number,
    version: 3 | 4 | 5,
    connectOptions: Partial<IConnectPacket>,
  ): Promise<RawMqttClient> {
    const client = await RawMqttClient.open(port, version);
    const protocolId = version === 3 ? "MQIsdp" : "MQTT";
    client.send({
      cmd: "connect",
      protocolId,
      protocolVersion: version,
      clientId: "raw",
      clean: true,
      keepalive: 0,
      ...connectOptions,
    });
    await client.until(() => client.packets.length > 0 || client.closed);
    return client;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(...packets: Packet[]): void {
    this.sendBytes(Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: this.#version }))));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  /** Resolves when the condition holds after a packet or the close. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#closed) throw new Error(`The connection was closed after ${JSON.stringify(this.packets)}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** Resolves with the next packet of the kind, also one that is there already, and takes it out. */
  async take<Kind extends Packet["cmd"]>(cmd: Kind): Promise<Extract<Packet, { cmd: Kind }>> {
    await this.until(() => this.packets.some((packet) => packet.cmd === cmd));
    const [packet] = this.packets.splice(
      this.packets.findIndex((candidate) => candidate.cmd === cmd),
      1,
    );
    return packet as Extract<Packet, { cmd: Kind }>;
  }

  untilClosed(): Promise<void> {
    return this.until(() => this.#closed);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
