import * as z from "zod";
import type { Clock } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import { createUuid } from "../../core/ids.ts";
import type { Random } from "../../core/random.ts";
import { idInput } from "../../entities/fields.ts";
import { metadataInput, readMetadata, toMetadata } from "../../entities/rule-chain-metadata.ts";
import type { ChainSource } from "./compile.ts";

const chainInput = z.object({ id: idInput.nullish(), name: z.string().nullish(), root: z.boolean().nullish() });
const nodesInput = metadataInput.extend({ ruleChainId: idInput.nullish() });

const fileInput = z.union([
  z.object({ ruleChains: z.array(chainInput).min(1), metadata: z.array(nodesInput) }),
  z.object({ ruleChain: chainInput, metadata: nodesInput }),
]);

export interface ChainFile {
  readonly root: ChainSource;
  readonly sources: readonly ChainSource[];
}

/**
 * The chains of a file: one with its nodes (`{ruleChain, metadata}`), or an export of several (`{ruleChains, metadata}`), of which the
 * root, else the first, takes the messages.
 *
 * @throws AppError INVALID_ARGUMENT, INVALID_PAYLOAD
 */
export function readChainFile(
  text: string,
  { clock, random }: { readonly clock: Pick<Clock, "nowMs">; readonly random: Random },
): ChainFile {
  const parsed = fileInput.safeParse(parse(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
    throw new AppError("INVALID_ARGUMENT", `This is no export of rule chains: ${issue?.message ?? "invalid"}${place}`);
  }
  const { data } = parsed;
  const chains = "ruleChains" in data ? data.ruleChains : [data.ruleChain];
  const metadata = "ruleChains" in data ? data.metadata : [{ ...data.metadata, ruleChainId: chains[0]?.id ?? null }];
  const createId = () => createUuid(clock, random);
  const sources = chains.map((chain): ChainSource & { readonly isRoot: boolean } => {
    const nodes = metadata.find(({ ruleChainId }) => (ruleChainId ?? null) === (chain.id ?? null));
    const id = chain.id ?? createId();
    const empty = readMetadata({});
    return {
      id,
      name: chain.name ?? "",
      isRoot: chain.root ?? false,
      metadata:
        nodes === undefined
          ? empty
          : toMetadata({ ...nodes, ruleChainId: id }, empty, { nowMs: clock.nowMs(), createId }),
    };
  });
  const root = sources.find(({ isRoot }) => isRoot) ?? sources[0];
  if (root === undefined) throw new AppError("INVALID_ARGUMENT", "There is no chain in the file");
  return { root, sources };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("INVALID_PAYLOAD", "The file of chains is no JSON", { cause });
  }
}
