import { createOutbox, ROW_ITEMS_MAX } from "../../edge/store/outbox.ts";
import { SEQ_MAX } from "../../shared/core/seq-range.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { decompress } from "../../shared/wire/compression.ts";
import { decodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import type { Program } from "../support/processes.ts";
import { withDatabaseOf } from "../support/program-database.ts";

// Telemetry is stored by upsert, so what is applied twice looks the same in the table. The witness tells: a trigger in the
// cloud's database that notes each row which is written, in the transaction that writes it and in its order. What it must
// hold is in the edge's outbox, which is append-only by itself: each record that a device handed in, in the order of commits.

/** A telemetry record with its number. */
export interface Noted {
  readonly deviceId: string;
  readonly n: number;
}

const WITNESS = `
  create table chaos_witness (id bigint generated always as identity, device_id uuid not null, n bigint not null);
  create function chaos_note() returns trigger language plpgsql as $$
  begin
    insert into chaos_witness (device_id, n) values (new.entity_id, (new."values" ->> 'n')::bigint);
    return null;
  end $$;
  create trigger chaos_note after insert or update on telemetry for each row execute function chaos_note();`;

export async function installWitness(cloud: Program<unknown>): Promise<void> {
  await withDatabaseOf(cloud, (sql) => sql.unsafe(WITNESS));
}

/** What the cloud has written to its telemetry, in order. */
export function readWitness(cloud: Program<unknown>): Promise<readonly Noted[]> {
  return withDatabaseOf(cloud, (sql) => sql<Noted[]>`select device_id as "deviceId", n from chaos_witness order by id`);
}

/** What the edge had to hand over, in order. */
export function readOutbox(edge: Program<unknown>): Promise<readonly Noted[]> {
  return withDatabaseOf(edge, async (sql) => {
    const noted: Noted[] = [];
    const outbox = createOutbox(sql);
    for (let afterSeq = 0; ;) {
      const request = {
        afterSeq,
        upToSeq: SEQ_MAX,
        bytesMax: 4 * 1024 * 1024,
        itemsMax: ROW_ITEMS_MAX,
        frameBytesMax: Infinity,
      };
      const { batches } = await outbox.read("telemetry", request);
      const last = batches.at(-1);
      if (last === undefined) return noted;
      for (const batch of batches) {
        const { entityIds, entityIndex, values } = decodeTelemetry(decompress(batch), batch.count);
        for (const [position, line] of values.split("\n").entries()) {
          const { n } = JSON.parse(line) as { n: number };
          noted.push({ deviceId: entityIds[entityIndex[position] ?? -1] ?? "", n });
        }
      }
      afterSeq = lastSeqOf(last);
    }
  });
}
