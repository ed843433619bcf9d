import { sql } from "drizzle-orm";
import type { Queryable } from "./unit-of-work.ts";

/** Runs a statement with $1, $2, … ; parameters are text, numbers or bytes. */
export type RunStatement = (statement: string, parameters: readonly StatementParameter[]) => Promise<unknown>;

export type StatementParameter = string | number | null | Uint8Array;

/** Statements written as text, run in a transaction of Drizzle's. */
export function runStatementIn(tx: Queryable): RunStatement {
  return (statement, parameters) => {
    // Odd parts are the numbers of parameters.
    const chunks = statement
      .split(/\$(\d+)/)
      .map((part, index) => (index % 2 === 0 ? sql.raw(part) : sql`${parameters[Number(part) - 1]}`));
    return tx.execute(sql.join(chunks));
  };
}
