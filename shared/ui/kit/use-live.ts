import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client.ts";

export interface Live<T> {
  /** undefined: not read yet. What was read stays while it can't be read anew. */
  readonly data: T | undefined;
  readonly error: ApiError | null;
  /** Reads it now. */
  readonly refresh: () => void;
}

export interface LiveOptions {
  /** 0: once. @default 3000 */
  readonly everyMs?: number;
}

/**
 * What `read` gives, read anew while the page is looked at: the next time `everyMs` after the last answer, so that a slow server
 * is not asked twice at once. Another `key` begins from nothing.
 */
export function useLive<T>(key: string, read: () => Promise<T>, { everyMs = 3_000 }: LiveOptions = {}): Live<T> {
  const [state, setState] = useState<{ key: string; data?: T; error: ApiError | null }>({ key, error: null });
  const [turn, setTurn] = useState(0);
  const latest = useRef(read);
  latest.current = read;
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        const data = await latest.current();
        if (!isOver) setState({ key, data, error: null });
      } catch (thrown) {
        const error = thrown instanceof ApiError ? thrown : new ApiError(0, String(thrown));
        if (!isOver) setState((before) => (before.key === key ? { ...before, error } : { key, error }));
      }
      if (!isOver && everyMs > 0) timer = setTimeout(next, everyMs);
    };
    const next = (): void => {
      if (document.visibilityState === "visible") void ask();
    };
    const onVisible = (): void => {
      clearTimeout(timer);
      next();
    };
    void ask();
    if (everyMs > 0) document.addEventListener("visibilitychange", onVisible);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, [key, everyMs, turn]);
  const refresh = useCallback(() => setTurn((before) => before + 1), []);
  const isOther = state.key !== key;
  return { data: isOther ? undefined : state.data, error: isOther ? null : state.error, refresh };
}
