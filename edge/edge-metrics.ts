import type { SyncState } from "../shared/core/sync-states.ts";
import { SYNC_STATE_NAMES } from "../shared/core/sync-states.ts";
import type { Metrics } from "../shared/observe/metrics.ts";
import { UPLINK_LANES } from "../shared/sync/lanes.ts";
import type { StatusSources } from "./api/status.ts";
import { CONNECT_REFUSAL_NAMES } from "./devices/mqtt-reasons.ts";
import type { MqttServer } from "./devices/mqtt-server.ts";

export interface EdgeMetricsDeps {
  readonly metrics: Metrics;
  readonly sources: StatusSources;
  readonly mqtt: Pick<MqttServer, "counters" | "sessions">;
  readonly version: string;
}

/** Nodes of rule chains that are counted by their name; the others together. */
const RULE_NODES_MAX = 50;

/** What /metrics of the edge tells beside the requests: read when it is asked for, so that counting costs devices nothing. */
export function registerEdgeMetrics({ metrics, mqtt, sources, version }: EdgeMetricsDeps): void {
  metrics.gauge("skerry_build_info", ["version"]).set({ version }, 1);
  const sessions = metrics.gauge("skerry_mqtt_sessions");
  const received = metrics.counter("skerry_mqtt_publishes_total");
  const rejected = metrics.counter("skerry_mqtt_publishes_rejected_total");
  const refused = metrics.counter("skerry_mqtt_connections_refused_total", ["reason"]);
  const linkUp = metrics.gauge("skerry_link_up");
  const syncState = metrics.gauge("skerry_sync_state", ["state"]);
  const backlog = metrics.gauge("skerry_uplink_backlog_items", ["lane"]);
  const backlogSize = metrics.gauge("skerry_uplink_backlog_bytes", ["lane"]);
  const acked = metrics.gauge("skerry_uplink_acked_seq", ["lane"]);
  const parked = metrics.gauge("skerry_parked_items", ["lane"]);
  const disk = metrics.gauge("skerry_disk_bytes", ["kind"]);
  const diskFull = metrics.gauge("skerry_disk_full");
  const removed = metrics.counter("skerry_telemetry_removed_total", ["reason"]);
  const thinningValues = metrics.counter("skerry_thinning_values_total", ["key", "what"]);
  const thinningBytes = metrics.counter("skerry_thinning_bytes_total", ["key", "what"]);
  const ruleMessages = metrics.counter("skerry_rule_node_messages_total", ["node"]);
  const ruleFailures = metrics.counter("skerry_rule_node_failures_total", ["node"]);
  metrics.onRender(async () => {
    sessions.set(mqtt.sessions);
    setCounter(received, mqtt.counters.publishesReceived);
    setCounter(rejected, mqtt.counters.publishesRejected);
    refused.reset();
    for (const reason of CONNECT_REFUSAL_NAMES)
      refused.inc({ reason }, mqtt.counters.connectionsRefused.get(reason) ?? 0);
    linkUp.set(sources.link()?.state === "live" ? 1 : 0);
    const { state, reasons } = await sources.sync();
    const holds = new Set<SyncState>([state, ...reasons.map(({ code }) => code)]);
    for (const name of SYNC_STATE_NAMES) syncState.set({ state: name }, holds.has(name) ? 1 : 0);
    const outbox = await sources.outbox();
    for (const lane of UPLINK_LANES) {
      const { ackedSeq, backlogBytes, backlogItems } = outbox.lanes[lane];
      acked.set({ lane }, ackedSeq);
      backlog.set({ lane }, backlogItems);
      backlogSize.set({ lane }, backlogBytes);
      parked.set({ lane }, outbox.parked[lane]);
    }
    const { freeBytes, isFull, quotaBytes, removed: counts, reserveBytes, usedBytes } = await sources.disk();
    const kinds = {
      used: usedBytes,
      free: freeBytes,
      reserve: reserveBytes,
      ...(quotaBytes === null ? {} : { quota: quotaBytes }),
    };
    for (const [kind, bytes] of Object.entries(kinds)) disk.set({ kind }, bytes);
    diskFull.set(isFull ? 1 : 0);
    ruleMessages.reset();
    ruleFailures.reset();
    for (const [index, { failures, messages, name }] of sources.ruleNodes().entries()) {
      const node = index < RULE_NODES_MAX ? name : "other";
      ruleMessages.inc({ node }, messages);
      ruleFailures.inc({ node }, failures);
    }
    thinningValues.reset();
    thinningBytes.reset();
    for (const { came, cameBytes, key, sent, sentBytes } of sources.thinned()) {
      thinningValues.inc({ key, what: "came" }, came);
      thinningValues.inc({ key, what: "sent" }, sent);
      thinningBytes.inc({ key, what: "came" }, cameBytes);
      thinningBytes.inc({ key, what: "sent" }, sentBytes);
    }
    removed.reset();
    for (const [reason, records] of Object.entries(counts)) removed.inc({ reason }, records);
  });
}

/** A counter that somebody else counts. */
function setCounter(counter: { reset(): void; inc(by: number): void }, value: number): void {
  counter.reset();
  counter.inc(value);
}
