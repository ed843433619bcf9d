import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { EdgeInfo, EdgeSyncRounds } from "../../../shared/ui/api/cloud.gen.ts";
import { Button, Confirm, CopyButton } from "../../../shared/ui/kit/parts.tsx";
import { useRouter } from "../../../shared/ui/kit/router.tsx";
import { useAction, useToast } from "../../../shared/ui/kit/toasts.tsx";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";

export interface EdgeActionsProps {
  readonly edge: EdgeInfo;
  readonly onChange: () => void;
  readonly onSecret: (secret: string) => void;
}

export function EdgeActions({ edge, onChange, onSecret }: EdgeActionsProps): JSX.Element {
  const api = useApi();
  const router = useRouter();
  const act = useAction();
  const [asked, setAsked] = useState<"rotate" | "delete" | null>(null);
  const path = { edgeId: edge.id.id };
  const t = text.edge;
  const rotate = async (): Promise<void> => {
    setAsked(null);
    await act(async () => onSecret((await api.call("POST /api/edge/{edgeId}/secret", { path })).secret), t.rotatedDone);
    onChange();
  };
  const remove = async (): Promise<void> => {
    setAsked(null);
    if (await act(() => api.call("DELETE /api/edge/{edgeId}", { path }), t.deleted)) router.go("/edges");
  };
  return (
    <>
      <SyncButton edge={edge} onChange={onChange} />
      <CopyButton value={edge.id.id} label={t.facts.id} name={t.copyId} />
      <CopyButton value={edge.routingKey} label={t.facts.key} name={t.copyKey} />
      <Button onClick={() => setAsked("rotate")}>{t.rotate}</Button>
      <Button kind="danger" onClick={() => setAsked("delete")}>
        {t.delete}
      </Button>
      {asked === "rotate" ? (
        <Confirm
          title={t.rotateTitle}
          about={t.rotateAbout}
          action={t.rotate}
          onConfirm={() => void rotate()}
          onClose={() => setAsked(null)}
        />
      ) : null}
      {asked === "delete" ? (
        <Confirm
          title={t.deleteTitle(edge.name)}
          about={t.deleteAbout}
          action={t.delete}
          onConfirm={() => void remove()}
          onClose={() => setAsked(null)}
        />
      ) : null}
    </>
  );
}

const LOOK_EVERY_MS = 500;

/** Compares both sides, shows that it does, and says what was repaired. */
function SyncButton({ edge, onChange }: Pick<EdgeActionsProps, "edge" | "onChange">): JSX.Element {
  const api = useApi();
  const say = useToast();
  const [isComparing, setComparing] = useState(false);
  const path = { edgeId: edge.id.id };
  useEffect(() => {
    if (!isComparing) return undefined;
    const look = async (): Promise<void> => {
      try {
        const { inProgress, result } = await api.call("GET /api/edge/{edgeId}/sync", { path });
        if (inProgress) return;
        setComparing(false);
        say(result?.complete === false ? "warn" : "good", describeResult(result));
        onChange();
      } catch (error) {
        setComparing(false);
        say("bad", error instanceof Error ? error.message : String(error));
      }
    };
    const timer = setInterval(() => void look(), LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [isComparing]);
  const begin = async (): Promise<void> => {
    try {
      await api.call("POST /api/edge/sync/{edgeId}", { path });
      setComparing(true);
    } catch (error) {
      say("bad", error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Button
      kind="main"
      isDisabled={edge.status.state !== "connected"}
      isWaiting={isComparing || edge.status.syncInProgress}
      onClick={() => void begin()}
    >
      {isComparing ? text.edge.syncing : text.edge.sync}
    </Button>
  );
}

function describeResult(result: EdgeSyncRounds["result"]): string {
  const t = text.edge.syncDone;
  if (result === null) return t.same;
  const sent = result.missing + result.stale;
  const parts = [
    sent > 0 ? t.sent(sent) : "",
    result.surplus > 0 ? t.removed(result.surplus) : "",
    result.unknown > 0 ? t.asked(result.unknown) : "",
  ].filter((part) => part !== "");
  const done = parts.length === 0 ? t.same : `${parts.join(", ")}.`;
  return result.complete ? done : `${done} ${t.incomplete}`;
}
