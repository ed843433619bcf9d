import { Counter, Gauge, Histogram, Registry } from "prom-client";

/**
 * Every metric of Skerry, by the name under which Prometheus finds it. The second half of each line is its help text and the
 * manual at once.
 */
export const METRICS = {
  skerry_http_requests_total: "REST requests answered, by method, route and status",
  skerry_http_request_seconds: "Time from a REST request to its answer, by method and route",
  skerry_login_failures_total: "Sign-ins that were refused",
  skerry_websockets: "WebSocket connections of this process that are told of new values",
  skerry_edges_connected: "Edges that hold a session with this cloud process",
  skerry_edges: "Edges in the database by their state (docs/states.md); every replica tells of all of them",
  skerry_database_up: "1 while the database answers this cloud process",
  skerry_uplinks_total: "Items of edges that this cloud process has answered, by result: applied or rejected",
  skerry_downlinks_total:
    "Downlinks of this cloud process by result: applied or rejected by the edge, or unanswered when their session ended",
  skerry_cloud_replicas: "Cloud processes that share the database and are there, this one included",
  skerry_downlink_wakes_total:
    "Sessions of this cloud process woken for downlinks, by who told: a commit of its own, another replica's notify, or the poll",
  skerry_mqtt_sessions: "Devices connected by MQTT",
  skerry_mqtt_publishes_total: "MQTT publishes received",
  skerry_mqtt_publishes_rejected_total: "MQTT publishes that were refused for their content",
  skerry_mqtt_connections_refused_total: "Connections of MQTT that were refused, by reason",
  skerry_link_up: "1 while the edge has a live session with the cloud",
  skerry_sync_state: "1 for the state of sync and for each reason beside it, else 0, by state (docs/states.md)",
  skerry_uplinks_rejected_total:
    "Items that the cloud refused for good, by lane; skerry_uplink_acked_seq counts all that it took",
  skerry_downlinks_applied_total: "Downlinks that this edge has answered, by result: applied or rejected",
  skerry_uplink_backlog_items: "Items that the cloud has not committed yet, by lane",
  skerry_uplink_backlog_bytes: "What these items take in the outbox, most of it compressed, by lane",
  skerry_uplink_acked_seq: "Last sequence that the cloud has committed, by lane",
  skerry_parked_items: "Items that the cloud refused for good and nobody has decided about, by lane",
  skerry_downlinks_failed: "Downlinks that an edge refused for good and nobody has decided about, by tenant",
  skerry_disk_bytes:
    "Room on the disk of the edge, by kind: used by the data directory, free, its quota, held in reserve",
  skerry_rule_node_messages_total:
    "Messages that nodes of rule chains worked on since the chains were changed last, by name; of many nodes the rest as other",
  skerry_rule_node_failures_total: "Messages that failed at nodes of rule chains, likewise",
  skerry_disk_full: "1 while devices are refused because the disk is full",
  skerry_telemetry_removed_total: "Records that were removed unsent because the disk quota was reached, by reason",
  skerry_thinning_values_total:
    "Values of thinned keys: what came of devices, and what was sent to the cloud in its place; the 50 keys that save most",
  skerry_thinning_bytes_total: "The same in bytes before compression",
  skerry_build_info: "Always 1; the labels carry the version and the runtime",
} as const;

export type MetricName = keyof typeof METRICS;

/** Bounds of request times in s, from a cached answer to one that people complain about. */
const SECONDS_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5];

/** What a component reports to; each function finds or makes the metric in one registry. */
export interface Metrics {
  counter<L extends string = never>(name: MetricName, labels?: readonly L[]): Counter<L>;
  gauge<L extends string = never>(name: MetricName, labels?: readonly L[]): Gauge<L>;
  histogram<L extends string = never>(name: MetricName, labels?: readonly L[]): Histogram<L>;
  /** Calls `read` before each rendering: for values that somebody else counts. */
  onRender(read: () => void | Promise<void>): void;
  /** The text format of Prometheus. */
  render(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const readers: (() => void | Promise<void>)[] = [];
  const common = <L extends string>(name: MetricName, labels: readonly L[]) => ({
    name,
    help: METRICS[name],
    labelNames: [...labels],
    registers: [registry],
  });
  return {
    // The registry keeps no label types; a name is used with one set of labels only.
    counter: <L extends string>(name: MetricName, labels: readonly L[] = []) =>
      (registry.getSingleMetric(name) as Counter<L> | undefined) ?? new Counter<L>(common(name, labels)),
    gauge: <L extends string>(name: MetricName, labels: readonly L[] = []) =>
      (registry.getSingleMetric(name) as Gauge<L> | undefined) ?? new Gauge<L>(common(name, labels)),
    histogram: <L extends string>(name: MetricName, labels: readonly L[] = []) =>
      (registry.getSingleMetric(name) as Histogram<L> | undefined) ??
      new Histogram<L>({ ...common(name, labels), buckets: SECONDS_BUCKETS }),
    onRender: (read) => void readers.push(read),
    render: async () => {
      for (const read of readers) await read();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}
