import { createContext, type ComponentChildren, type JSX } from "preact";
import { useCallback, useContext, useState } from "preact/hooks";
import type { Tone } from "./parts.tsx";

interface Toast {
  readonly id: number;
  readonly tone: Tone;
  readonly message: string;
}

type Say = (tone: Tone, message: string) => void;

const ToastContext = createContext<Say>(() => undefined);

const SHOWN_MS = 6_000;

/** Says what happened, below whatever page is open. */
export function useToast(): Say {
  return useContext(ToastContext);
}

/** Does something and says how it ended. @returns whether it did */
export function useAction(): (work: () => Promise<unknown>, done: string) => Promise<boolean> {
  const say = useToast();
  return async (work, done) => {
    try {
      await work();
      say("good", done);
      return true;
    } catch (thrown) {
      say("bad", thrown instanceof Error ? thrown.message : String(thrown));
      return false;
    }
  };
}

export function ToastProvider({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const say = useCallback<Say>((tone, message) => {
    const id = Date.now() + Math.random();
    setToasts((before) => [...before.slice(-3), { id, tone, message }]);
    setTimeout(() => setToasts((before) => before.filter((toast) => toast.id !== id)), SHOWN_MS);
  }, []);
  return (
    <ToastContext.Provider value={say}>
      {children}
      <div class="toasts" role="status" aria-live="polite">
        {toasts.map(({ id, tone, message }) => (
          <div key={id} class={`notice toast ${tone}`}>
            {message}
          </div>
        ))}
      </div>
    </ToastContext.Provider>
  );
}
