import * as z from "zod";
import { AppError } from "../../core/errors.ts";
import type { Json } from "../../entities/entity-record.ts";
import { parseData, type ChainMessage } from "./message.ts";
import type { Languages, NodeTools } from "./node-kind.ts";

// Scripts of nodes: JavaScript with the arguments of the public convention (msg, metadata, msgType), or an expression in CEL with the same
// names. TBEL, a language of its own that looks like JavaScript, is run as JavaScript as far as it is that.

export const SCRIPT_LANGUAGES = ["JS", "TBEL", "CEL"] as const;
export type ScriptLanguage = (typeof SCRIPT_LANGUAGES)[number];

/** Payload, metadata and type of a message. */
type ArgumentNames = readonly [data: string, metadata: string, type: string];

const ARGUMENTS: ArgumentNames = ["msg", "metadata", "msgType"];

/** Members of a configuration that choose a script. */
export const scriptMembers = {
  scriptLang: z.enum(SCRIPT_LANGUAGES).nullish(),
  jsScript: z.string().nullish(),
  tbelScript: z.string().nullish(),
  celScript: z.string().nullish(),
};

type ScriptMembers = z.output<z.ZodObject<typeof scriptMembers>>;

export interface ScriptSource {
  readonly language: ScriptLanguage;
  readonly source: string;
}

export interface MessageScript {
  /** @throws AppError INVALID_ARGUMENT when the script fails */
  run(message: ChainMessage): Promise<Json | undefined>;
}

/** null: there is none. */
export function chosenScript({ scriptLang, jsScript, tbelScript, celScript }: ScriptMembers): ScriptSource | null {
  const language = scriptLang ?? "JS";
  const source = { JS: jsScript, TBEL: tbelScript, CEL: celScript }[language] ?? "";
  return source.trim() === "" ? null : { language, source };
}

/** @throws AppError INVALID_ARGUMENT for a script that can't be read, or for none */
export async function compileScript(
  script: ScriptSource | null,
  tools: NodeTools,
  names = ARGUMENTS,
): Promise<MessageScript> {
  if (script === null) throw new AppError("INVALID_ARGUMENT", "A script is needed");
  if (script.language === "TBEL") tools.note("its TBEL script runs as JavaScript");
  return languageScript(script, tools, names);
}

async function languageScript(
  { language, source }: ScriptSource,
  languages: Languages,
  names: ArgumentNames,
): Promise<MessageScript> {
  if (language === "CEL") {
    const expression = (await languages.cel()).compile(source);
    return {
      run: async (message) => {
        const [data, metadata, type] = names;
        const outcome = expression.evaluate({
          [data]: parseData(message),
          [metadata]: message.metadata,
          [type]: message.type,
        });
        if (!outcome.ok) throw new AppError("INVALID_ARGUMENT", outcome.reason);
        return outcome.value;
      },
    };
  }
  const script = await (await languages.sandbox()).compile(source, names);
  return {
    run: async ({ data, metadata, type }) => {
      const outcome = await script.call([data, JSON.stringify(metadata), JSON.stringify(type)]);
      if (!outcome.ok) throw new AppError("INVALID_ARGUMENT", outcome.reason);
      // What JSON.stringify of the sandbox made.
      return outcome.json === undefined ? undefined : (JSON.parse(outcome.json) as Json);
    },
  };
}
