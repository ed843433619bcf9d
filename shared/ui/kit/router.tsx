import { createContext, type ComponentChildren, type JSX } from "preact";
import { useContext, useEffect, useMemo, useState } from "preact/hooks";

/** Where the window is: its path and what stands in the query. */
export interface Place {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

export interface Router extends Place {
  /** Goes to an address of these pages. */
  go(address: string): void;
  /** Changes the query of this page without a new entry in the history; undefined and "" remove a parameter. */
  set(query: Readonly<Record<string, string | undefined>>): void;
}

const RouterContext = createContext<Router>({ path: "/", query: {}, go: () => undefined, set: () => undefined });

export function useRouter(): Router {
  return useContext(RouterContext);
}

export function RouterProvider({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const [place, setPlace] = useState(readPlace);
  useEffect(() => {
    const update = (): void => setPlace(readPlace());
    addEventListener("popstate", update);
    return () => removeEventListener("popstate", update);
  }, []);
  const router = useMemo<Router>(
    () => ({
      ...place,
      go(address) {
        history.pushState(null, "", address);
        setPlace(readPlace());
        scrollTo(0, 0);
      },
      set(query) {
        const parameters = new URLSearchParams(location.search);
        for (const [name, value] of Object.entries(query)) {
          if (value === undefined || value === "") parameters.delete(name);
          else parameters.set(name, value);
        }
        const text = parameters.toString();
        history.replaceState(null, "", text === "" ? location.pathname : `${location.pathname}?${text}`);
        setPlace(readPlace());
      },
    }),
    [place],
  );
  return <RouterContext.Provider value={router}>{children}</RouterContext.Provider>;
}

function readPlace(): Place {
  return { path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

export interface LinkProps {
  readonly to: string;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly current?: "page" | undefined;
}

/** A link that stays in these pages; with a key held it is one like any other. */
export function Link({ to, children, current, ...rest }: LinkProps): JSX.Element {
  const router = useRouter();
  return (
    <a
      href={to}
      {...rest}
      aria-current={current}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0) return;
        event.preventDefault();
        router.go(to);
      }}
    >
      {children}
    </a>
  );
}

/** The parameters of `pattern` in `path`, e.g. `/edges/:edgeId`; null: another path. */
export function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | null {
  const wanted = pattern.split("/");
  const parts = path.replace(/(?<=.)\/$/, "").split("/");
  if (wanted.length !== parts.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, name] of wanted.entries()) {
    const part = parts[index] ?? "";
    if (name.startsWith(":")) parameters[name.slice(1)] = decodeURIComponent(part);
    else if (name !== part) return null;
  }
  return parameters;
}
