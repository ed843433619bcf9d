import type { KeptMessage, KeptSession, KeptSessionStore } from "../../edge/devices/mqtt-kept.ts";

/** Sessions of MQTT in memory, as an edge keeps them in its database. */
export interface FakeSessions extends KeptSessionStore {
  readonly sessions: ReadonlyMap<string, KeptSession>;
  readonly messages: readonly KeptMessage[];
}

export function createFakeSessions(): FakeSessions {
  const sessions = new Map<string, KeptSession>();
  let messages: KeptMessage[] = [];
  return {
    sessions,
    get messages() {
      return messages;
    },
    readAll: async () => ({
      sessions: [...sessions.values()],
      messages: messages.map((message) => ({ ...message, bytes: message.payload.length })),
    }),
    readMessages: async (deviceId) => messages.filter((message) => message.deviceId === deviceId),
    write: async ({ removed, saved, delivered, added }) => {
      for (const deviceId of removed) sessions.delete(deviceId);
      messages = messages.filter(({ deviceId }) => !removed.includes(deviceId));
      for (const session of saved) sessions.set(session.deviceId, session);
      messages = messages.filter(
        ({ deviceId, seq }) => !delivered.some((done) => done.deviceId === deviceId && done.seq === seq),
      );
      messages = [...messages, ...added];
    },
  };
}
