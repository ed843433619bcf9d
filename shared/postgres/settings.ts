export type ServerProfile = "edge" | "cloud";

type Settings = Readonly<Record<string, string | number>>;

/** Both profiles. The durability settings stand here so that no profile can differ. */
const COMMON: Settings = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  restart_after_crash: "on",
  // The build has neither lz4 nor zstd.
  wal_compression: "pglz",
  // Filling a segment with zeros first writes it twice; and the system then accounts, and may write, whole large pages for each commit.
  wal_init_zero: "off",
  jit: "off",
  huge_pages: "off",
  // No pool of I/O processes.
  io_method: "sync",
  max_logical_replication_workers: 0,
  superuser_reserved_connections: 1,
  // Partitions multiply the relations that one statement locks.
  max_locks_per_transaction: 128,
  idle_in_transaction_session_timeout: "30s",
  checkpoint_timeout: "15min",
  update_process_title: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  datestyle: "iso",
  lc_messages: "C",
  default_text_search_config: "pg_catalog.english",
  logging_collector: "off",
  log_destination: "stderr",
  log_line_prefix: "%m [%p] ",
  // Failed statements are the client's to report; "log" keeps start, stop, crash and PANIC lines, by which the supervisor follows the server.
  log_min_messages: "log",
  log_min_error_statement: "panic",
};

/** Memory and flash of a gateway: few processes, few writes, bounded WAL and temporary files. */
const EDGE: Settings = {
  max_connections: 12,
  shared_buffers: "16MB",
  work_mem: "2MB",
  maintenance_work_mem: "16MB",
  wal_buffers: "1MB",
  wal_level: "minimal",
  max_wal_senders: 0,
  max_replication_slots: 0,
  min_wal_size: "16MB",
  max_wal_size: "256MB",
  max_worker_processes: 0,
  max_parallel_workers: 0,
  max_parallel_workers_per_gather: 0,
  max_parallel_maintenance_workers: 0,
  autovacuum_max_workers: 1,
  autovacuum_worker_slots: 1,
  autovacuum_naptime: "2min",
  autovacuum_vacuum_cost_limit: 400,
  bgwriter_delay: "1s",
  track_activity_query_size: 256,
  temp_file_limit: "256MB",
  // By itself 38: handles for reads side by side, which io_method sync does not do; 1 MB.
  io_max_concurrency: 4,
  log_checkpoints: "off",
  effective_cache_size: "128MB",
  random_page_cost: 1.5,
};

const CLOUD: Settings = {
  max_connections: 60,
  shared_buffers: "128MB",
  work_mem: "8MB",
  maintenance_work_mem: "64MB",
  min_wal_size: "128MB",
  max_wal_size: "2GB",
  autovacuum_naptime: "30s",
  autovacuum_vacuum_cost_limit: 1000,
  effective_cache_size: "1GB",
  random_page_cost: 1.1,
};

/** WAL files of 4 MB let the edge start and stay small. */
const WAL_SEGMENT_MB: Readonly<Record<ServerProfile, number>> = { edge: 4, cloud: 16 };

export interface ServerConfig {
  readonly profile: ServerProfile;
  readonly socketDir: string;
  readonly hbaFile: string;
  /** posix needs a writable /dev/shm, which some containers lack. */
  readonly sharedMemory: "posix" | "mmap";
  /** @default by profile */
  readonly walMaxMb?: number | undefined;
}

/** The text of postgresql.conf. */
export function serverConfig(config: ServerConfig): string {
  const settings: Settings = {
    ...COMMON,
    ...(config.profile === "edge" ? EDGE : CLOUD),
    ...(config.walMaxMb === undefined ? {} : { max_wal_size: `${config.walMaxMb}MB` }),
    unix_socket_directories: config.socketDir,
    hba_file: config.hbaFile,
    dynamic_shared_memory_type: config.sharedMemory,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quote(value)}`);
  return [
    "# Written by Skerry at each start. ALTER SYSTEM (data/postgresql.auto.conf) overrides it.",
    ...lines,
    "",
  ].join("\n");
}

/** Backslash sequences are interpreted inside the quotes. */
function quote(value: string | number): string {
  return typeof value === "number" ? String(value) : `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/**
 * No passwords: the socket's directory lets in root and the server's uid only, who can read the data files anyway. Peer
 * authentication would refuse root, which runs the program when the server has another uid.
 */
export const HBA_CONFIG = "# Written by Skerry at each start.\nlocal all all trust\n";

export const SERVER_USER = "skerry";

export function initdbArguments(profile: ServerProfile, clusterDir: string): string[] {
  return [
    `--pgdata=${clusterDir}`,
    `--username=${SERVER_USER}`,
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
    `--wal-segsize=${WAL_SEGMENT_MB[profile]}`,
    "--set=wal_init_zero=off",
    // Spares initdb its trial runs for larger values.
    "--set=max_connections=20",
    "--set=shared_buffers=16MB",
  ];
}
