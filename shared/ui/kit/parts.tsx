import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api/client.ts";
import { text } from "../text/en.ts";
import { formatDuration, formatTime } from "./format.ts";

/** How something is, by colour; the words beside it always say the same. */
export type Tone = "good" | "warn" | "bad" | "calm" | "idle";

export function State({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }): JSX.Element {
  return <span class={`state ${tone}`}>{children}</span>;
}

export interface ButtonProps {
  readonly children: ComponentChildren;
  readonly onClick?: () => void;
  readonly kind?: "plain" | "main" | "danger";
  readonly type?: "button" | "submit";
  readonly isSlim?: boolean;
  readonly isDisabled?: boolean;
  /** Shows that it works, and takes no further click. */
  readonly isWaiting?: boolean;
  readonly label?: string;
}

export function Button({ children, onClick, kind = "plain", type = "button", ...more }: ButtonProps): JSX.Element {
  const { isDisabled = false, isSlim = false, isWaiting = false, label } = more;
  const names = ["button", kind, isSlim ? "slim" : "", isWaiting ? "waiting" : ""];
  return (
    <button
      type={type}
      class={names.join(" ").trim()}
      disabled={isDisabled || isWaiting}
      aria-label={label}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

export interface CardProps {
  readonly title?: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
  /** Tables reach to the border. @default false */
  readonly isFlush?: boolean;
}

export function Card({ title, actions, children, isFlush = false }: CardProps): JSX.Element {
  return (
    <section class="card" aria-label={title}>
      {title === undefined ? null : (
        <header>
          <h2>{title}</h2>
          {actions}
        </header>
      )}
      {isFlush ? children : <div class="body">{children}</div>}
    </section>
  );
}

export interface TileProps {
  readonly label: ComponentChildren;
  readonly value: ComponentChildren;
  readonly note?: ComponentChildren;
}

export function Tile({ label, value, note }: TileProps): JSX.Element {
  return (
    <div class="card tile">
      <span class="label">{label}</span>
      <span class="value">{value}</span>
      {note === undefined ? null : <span class="note">{note}</span>}
    </div>
  );
}

export interface PageHeadProps {
  readonly title: string;
  readonly about?: ComponentChildren;
  readonly above?: ComponentChildren;
  readonly children?: ComponentChildren;
}

export function PageHead({ title, about, above, children }: PageHeadProps): JSX.Element {
  useEffect(() => {
    document.title = `${title} · Skerry`;
  }, [title]);
  return (
    <div class="head">
      <div>
        {above === undefined ? null : <div class="crumbs">{above}</div>}
        <h1>{title}</h1>
        {about === undefined ? null : <p class="soft">{about}</p>}
      </div>
      <div class="row">{children}</div>
    </div>
  );
}

export function Notice({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }): JSX.Element {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

/** What went wrong, unless nothing did. */
export function Failure({ error }: { readonly error: ApiError | Error | null }): JSX.Element | null {
  return error === null ? null : <Notice tone="bad">{error.message}</Notice>;
}

export function Facts({ rows }: { readonly rows: readonly (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

export interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly type?: "text" | "password";
  readonly autocomplete?: string;
  readonly isRequired?: boolean;
  readonly hasFocus?: boolean;
}

export function Field({ label, value, onInput, type = "text", ...more }: FieldProps): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const { autocomplete, hasFocus = false, isRequired = false } = more;
  useEffect(() => {
    if (hasFocus) input.current?.focus();
  }, [hasFocus]);
  // Each type of input allows other roles, and none is given here.
  const kind = { type } as { readonly type: "text" };
  return (
    <label class="field">
      <span>{label}</span>
      <input
        ref={input}
        class="input"
        {...kind}
        value={value}
        required={isRequired}
        autocomplete={autocomplete ?? "off"}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

export interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly onChange: (value: string) => void;
}

export function Choice({ label, value, options, onChange }: ChoiceProps): JSX.Element {
  return (
    <select class="input" aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {options.map(([name, shown]) => (
        <option key={name} value={name}>
          {shown}
        </option>
      ))}
    </select>
  );
}

/** A few choices beside each other. */
export function Segments({ label, value, options, onChange }: ChoiceProps): JSX.Element {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([name, shown]) => (
        <button key={name} type="button" aria-pressed={name === value} onClick={() => onChange(name)}>
          {shown}
        </button>
      ))}
    </div>
  );
}

export interface CopyButtonProps {
  readonly value: string;
  /** What it copies, for those who only hear it. */
  readonly label: string;
  /** What stands on it. @default "Copy", as one of a list */
  readonly name?: string;
}

export function CopyButton({ value, label, name }: CopyButtonProps): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return undefined;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <Button
      isSlim={name === undefined}
      onClick={() => void copy(value).then(() => setCopied(true))}
      {...(name === undefined ? { label: text.action.copyWhat(label) } : {})}
    >
      {isCopied ? text.action.copied : (name ?? text.action.copy)}
    </Button>
  );
}

/** Pages over plain HTTP have no clipboard of their own; there what is selected can be copied. */
async function copy(value: string): Promise<void> {
  if (isSecureContext) return navigator.clipboard.writeText(value);
  const area = document.createElement("textarea");
  area.value = value;
  document.body.append(area);
  area.select();
  // oxlint-disable-next-line typescript/no-deprecated -- nothing has taken its place outside secure contexts
  document.execCommand("copy");
  area.remove();
}

/** How long ago, with the whole time for those who point at it. */
export function Ago({ ms, nowMs }: { readonly ms: number | null; readonly nowMs: number }): JSX.Element {
  if (ms === null) return <span class="soft">{text.format.never}</span>;
  const passedMs = nowMs - ms;
  return (
    <time dateTime={new Date(ms).toISOString()} title={formatTime(ms)}>
      {passedMs < 2_000 ? text.format.now : text.format.ago(formatDuration(passedMs))}
    </time>
  );
}

export interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} onClose={onClose} aria-label={title}>
      <div class="inside">
        <h2>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

export interface ConfirmProps {
  readonly title: string;
  readonly about: string;
  readonly action: string;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

export function Confirm({ title, about, action, onConfirm, onClose }: ConfirmProps): JSX.Element {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{about}</p>
      <div class="row end">
        <Button onClick={onClose}>{text.action.cancel}</Button>
        <Button kind="danger" onClick={onConfirm}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
