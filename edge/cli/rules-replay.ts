import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { loadCel } from "../../shared/rules/cel.ts";
import { readChainFile } from "../../shared/rules/chain/chain-file.ts";
import { compileChains } from "../../shared/rules/chain/compile.ts";
import { readHistoryCsv } from "../../shared/rules/chain/history-csv.ts";
import { keyOf } from "../../shared/rules/chain/replay-world.ts";
import { replay, type ReplayLine } from "../../shared/rules/chain/replay.ts";
import type { ScriptSandbox } from "../../shared/rules/chain/sandbox.ts";
import type { OpenScriptSandbox } from "../../shared/runtime/script-sandbox.ts";

/** Makes ids and chance the same every time. */
const SEED = 1;
const DEVICE_NAME = "Device";

export interface RecordedRules {
  readonly chainText: string;
  readonly csvText: string;
  readonly profileName: string;
}

/** @throws AppError INVALID_ARGUMENT, INVALID_PAYLOAD for texts that can't be read */
export async function* testRules(
  { chainText, csvText, profileName }: RecordedRules,
  openScriptSandbox: OpenScriptSandbox,
): AsyncGenerator<ReplayLine> {
  const clock = { timeMs: 0 };
  const random = createSeededRandom(SEED);
  const nowMs = (): number => clock.timeMs;
  const originator = { type: "DEVICE", id: createUuid({ nowMs }, random) };
  const tenant = { type: "TENANT", id: createUuid({ nowMs }, random) };
  const { root, sources } = readChainFile(chainText, { clock: { nowMs }, random });
  const metadata = { deviceName: DEVICE_NAME, deviceType: profileName };
  const history = readHistoryCsv(csvText, { originator, metadata, random });
  let sandbox: Promise<ScriptSandbox> | undefined;
  const languages = { cel: loadCel, sandbox: () => (sandbox ??= openScriptSandbox({ nowMs, random })) };
  try {
    const chains = await compileChains(root.id, sources, languages);
    const facts = { name: DEVICE_NAME, type: profileName, label: null, createdMs: 0, customer: null, tenant };
    const start = { tenant, entities: new Map([[keyOf(originator), facts]]), attributes: [] };
    yield* replay(chains, history, { start, random, clock });
  } finally {
    (await sandbox)?.[Symbol.dispose]();
  }
}
