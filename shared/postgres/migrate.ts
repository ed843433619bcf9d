import { AppError } from "../core/errors.ts";
import { databaseError, sqlStateOf, type Sql, type TransactionSql } from "./connect.ts";

/** One step of the schema, from the generated modules drizzle/edge.gen.ts and drizzle/cloud.gen.ts. */
export interface Migration {
  /** The file's name without ".sql"; its number orders the steps. */
  readonly id: string;
  /** SHA-256 of the file, hex. */
  readonly hash: string;
  readonly statements: readonly string[];
  /** Whether programs that don't know it work with a database that holds it, so that a rollback needs nothing. @default false */
  readonly isCompatible?: boolean;
}

export type DatabaseKind = "edge" | "cloud";

export interface MigrationOptions {
  /** Which end's schema it is: a database of the other end is refused. */
  readonly kind: DatabaseKind;
}

export interface MigrationResult {
  /** Ids of the migrations that this call applied. */
  readonly applied: readonly string[];
  /** Ids of those that a newer program applied, and that this one works with all the same. */
  readonly newer: readonly string[];
}

/** Key of the advisory lock that migrators wait for, "skerry" and 1 in ASCII. */
const MIGRATION_LOCK = 0x736b_6572_7201;
/** undefined_table, undefined_column: no migration was applied, or by a program that did not note what newer ones may add. */
const NOT_MADE: ReadonlySet<string | undefined> = new Set(["42P01", "42703"]);

/**
 * Brings a database to the schema of this program. Each migration is one transaction under an advisory lock, so that programs that start
 * at the same moment apply it once, and a migration that fails leaves nothing. When nothing is to be done it costs one query.
 *
 * @param migrations all of them, oldest first
 * @throws AppError DATABASE_NEWER when the database holds a migration that this program does not know and that isn't compatible, DATABASE_MIGRATION_CHANGED when one
 *   differs from what was applied or one before it is missing, DATABASE_FOREIGN when it is a database of the other end;
 *   DATABASE_UNAVAILABLE, DISK_FULL
 */
export async function runMigrations(
  sql: Sql,
  migrations: readonly Migration[],
  options: MigrationOptions,
): Promise<MigrationResult> {
  const applied: string[] = [];
  try {
    const before = await readApplied(sql);
    if (before !== undefined && checkApplied(before, migrations, options.kind) === undefined)
      return { applied, newer: newerThan(migrations, before) };
    for (;;) {
      const id = await sql.begin((tx) => applyNext(tx, migrations, options.kind));
      if (id === undefined) return { applied, newer: [] };
      applied.push(id);
    }
  } catch (error) {
    throw databaseError(error);
  }
}

interface AppliedRow {
  readonly id: string;
  readonly hash: string;
  readonly kind: string;
  readonly compatible: boolean;
}

function newerThan(migrations: readonly Migration[], applied: readonly AppliedRow[]): readonly string[] {
  return applied.slice(migrations.length).map(({ id }) => id);
}

/** Undefined when the table has to be made or completed. */
async function readApplied(sql: Sql): Promise<readonly AppliedRow[] | undefined> {
  try {
    return await sql<AppliedRow[]>`select id, hash, kind, compatible from skerry_migration order by position`;
  } catch (error) {
    if (NOT_MADE.has(sqlStateOf(error))) return undefined;
    throw error;
  }
}

/** Applies the oldest missing migration and returns its id; undefined when none is missing. */
async function applyNext(
  tx: TransactionSql,
  migrations: readonly Migration[],
  kind: DatabaseKind,
): Promise<string | undefined> {
  // Until the commit; a session's lock would not survive a pooler between us and the server.
  await tx`select pg_advisory_xact_lock(${MIGRATION_LOCK}::int8)`;
  // A migration may rewrite a large table.
  await tx.unsafe("set local statement_timeout = 0");
  await tx.unsafe("set local client_min_messages = warning");
  await tx.unsafe(`create table if not exists skerry_migration (
    position integer primary key,
    id text not null unique,
    hash text not null,
    kind text not null,
    applied_at timestamptz not null default now()
  )`);
  await tx.unsafe("alter table skerry_migration add column if not exists compatible boolean not null default false");
  const applied = await tx<AppliedRow[]>`select id, hash, kind, compatible from skerry_migration order by position`;
  const next = checkApplied(applied, migrations, kind);
  if (next === undefined) return undefined;
  for (const statement of next.statements) await tx.unsafe(statement);
  await tx`
    insert into skerry_migration (position, id, hash, kind, compatible)
    values (${applied.length}, ${next.id}, ${next.hash}, ${kind}, ${next.isCompatible ?? false})`;
  return next.id;
}

/**
 * Compares what was applied with what is known, and returns the first migration that is missing.
 *
 * @throws AppError as runMigrations
 */
export function checkApplied(
  applied: readonly AppliedRow[],
  migrations: readonly Migration[],
  kind: DatabaseKind,
): Migration | undefined {
  for (const [position, row] of applied.entries()) {
    if (row.kind !== kind) {
      throw new AppError(
        "DATABASE_FOREIGN",
        `Expected a database of the ${kind}, but this one belongs to the ${row.kind}; use another database`,
      );
    }
    if (!migrations.some((migration) => migration.id === row.id)) {
      if (row.compatible && position >= migrations.length) continue;
      throw new AppError(
        "DATABASE_NEWER",
        `The database holds the migration ${row.id}, and this program knows ${migrations.at(-1)?.id ?? "none"} as the newest; nothing was changed`,
      );
    }
    const known = migrations[position];
    if (known === undefined || known.id !== row.id || known.hash !== row.hash) {
      throw new AppError(
        "DATABASE_MIGRATION_CHANGED",
        `Expected migration ${position} to be ${known?.id} (${known?.hash.slice(0, 12)}), but ${row.id} (${row.hash.slice(0, 12)}) was applied; nothing was changed`,
      );
    }
  }
  return migrations[applied.length];
}
