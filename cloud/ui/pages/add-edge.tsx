import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Edge } from "../../../shared/ui/api/cloud.gen.ts";
import {
  Button,
  CopyButton,
  Dialog,
  Failure,
  Facts,
  Field,
  Notice,
  Segments,
  State,
} from "../../../shared/ui/kit/parts.tsx";
import { useRouter } from "../../../shared/ui/kit/router.tsx";
import { useToast } from "../../../shared/ui/kit/toasts.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";

export interface AddEdgeProps {
  readonly onClose: () => void;
  readonly onAdded: () => void;
}

/** A name, then how to install it, then that it is there. */
export function AddEdge({ onClose, onAdded }: AddEdgeProps): JSX.Element {
  const [edge, setEdge] = useState<Edge | null>(null);
  if (edge !== null) return <Install edge={edge} onClose={onClose} />;
  return (
    <NameEdge
      onClose={onClose}
      onMade={(made) => {
        setEdge(made);
        onAdded();
      }}
    />
  );
}

interface NameEdgeProps {
  readonly onClose: () => void;
  readonly onMade: (edge: Edge) => void;
}

function NameEdge({ onClose, onMade }: NameEdgeProps): JSX.Element {
  const api = useApi();
  const say = useToast();
  const [name, setName] = useState("");
  const [label, setLabel] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const [isWaiting, setWaiting] = useState(false);
  const t = text.addEdge;
  const add = async (): Promise<void> => {
    setWaiting(true);
    try {
      const edge = await api.call("POST /api/edge", { body: { name, label } });
      say("good", t.added(name));
      onMade(edge);
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown : new Error(String(thrown)));
      setWaiting(false);
    }
  };
  return (
    <Dialog title={t.title} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void add();
        }}
      >
        <Field label={t.name} value={name} onInput={setName} isRequired hasFocus />
        <Field label={t.label} value={label} onInput={setLabel} />
        <Failure error={error} />
        <div class="row end">
          <Button onClick={onClose}>{text.action.cancel}</Button>
          <Button kind="main" type="submit" isWaiting={isWaiting}>
            {t.action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

type Method = keyof typeof text.addEdge.methods;

function Install({ edge, onClose }: { readonly edge: Edge; readonly onClose: () => void }): JSX.Element {
  const api = useApi();
  const router = useRouter();
  const [method, setMethod] = useState<Method>("ubuntu");
  const [markdown, setMarkdown] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const edgeId = edge.id.id;
  const t = text.addEdge;
  const status = useLive(edgeId, () => api.call("GET /api/edge/{edgeId}", { path: { edgeId } }), { everyMs: 1_000 });
  const isConnected = status.data?.status.state === "connected";
  useEffect(() => {
    const path = { edgeId, method };
    api
      .call("GET /api/edge/instructions/install/{edgeId}/{method}", { path })
      .then(({ instructions }) => setMarkdown(instructions), setError);
  }, [edgeId, method]);
  const command = fillSecret(markdown, edge.secret);
  return (
    <Dialog title={t.installTitle(edge.name)} onClose={onClose}>
      <Notice tone="calm">{t.secretOnce}</Notice>
      <Facts
        rows={[
          [t.key, <Copyable key="key" value={edge.routingKey} label={t.key} />],
          [t.secret, <Copyable key="secret" value={edge.secret} label={t.secret} />],
        ]}
      />
      <div class="row spread">
        <Segments
          label={t.method}
          value={method}
          options={Object.entries(t.methods)}
          onChange={(value) => setMethod(value as Method)} // one of the options
        />
        <CopyButton value={command} label={t.method} />
      </div>
      <p class="soft small">{t.copyFile}</p>
      <pre tabIndex={0} aria-label={t.method}>
        {command}
      </pre>
      <Failure error={error} />
      <div class="row spread">
        <div aria-live="polite">
          {isConnected ? <State tone="good">{t.connected}</State> : <span class="row soft waiting">{t.waiting}</span>}
        </div>
        <div class="row">
          <Button onClick={onClose}>{text.action.close}</Button>
          <Button kind="main" onClick={() => router.go(`/edges/${edgeId}`)}>
            {t.open}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function Copyable({ value, label }: { readonly value: string; readonly label: string }): JSX.Element {
  return (
    <span class="row">
      <code>{value}</code>
      <CopyButton value={value} label={label} />
    </span>
  );
}

/** The server does not keep the secret; it is known here, where the edge was just made. */
function fillSecret(markdown: string, secret: string): string {
  const command = /```bash\n([\s\S]*?)\n```/.exec(markdown)?.[1] ?? "";
  return command.replaceAll(/(?<=SKERRY_EDGE_SECRET=|echo )SECRET\b/g, secret);
}
