/** Who is signed in. The access token lives in memory; the refresh token outlives a reload, and is never part of an address. */
export interface Session {
  readonly isSignedIn: boolean;
  /** The access token, renewed first when it is old. null: nobody is signed in. */
  token(): Promise<string | null>;
  /** For a token that was refused before its time. False: the session is over. */
  renew(): Promise<boolean>;
  /** @throws SignInError with what the server says */
  signIn(username: string, password: string): Promise<void>;
  signOut(): Promise<void>;
  /** Called whenever somebody came or went. Gives the function that ends it. */
  onChange(listener: () => void): () => void;
}

export class SignInError extends Error {}

interface TokenPair {
  readonly token: string;
  readonly refreshToken: string;
}

const STORAGE_KEY = "skerry.refresh-token";
/** So much before its end an access token is renewed. */
const EARLY_MS = 60_000;

export function createSession(): Session {
  let access: { readonly token: string; readonly expiresMs: number } | null = null;
  let renewal: Promise<boolean> | null = null;
  const listeners = new Set<() => void>();
  const tell = (): void => listeners.forEach((listener) => listener());

  const keep = (pair: TokenPair): void => {
    access = { token: pair.token, expiresMs: expiryOf(pair.token) };
    localStorage.setItem(STORAGE_KEY, pair.refreshToken);
  };
  const forget = (): void => {
    access = null;
    localStorage.removeItem(STORAGE_KEY);
    tell();
  };
  const renewNow = async (): Promise<boolean> => {
    const refreshToken = localStorage.getItem(STORAGE_KEY);
    if (refreshToken === null) return false;
    const response = await post("/api/auth/token", { refreshToken });
    if (response.ok) {
      keep((await response.json()) as TokenPair);
      return true;
    }
    // A server that is down says nothing of the session.
    if (response.status === 401 || response.status === 403) forget();
    return false;
  };
  const renew = (): Promise<boolean> => (renewal ??= renewNow().finally(() => (renewal = null)));

  // Signing out in one window ends the others.
  addEventListener("storage", ({ key, newValue }) => {
    if (key !== STORAGE_KEY) return;
    if (newValue === null) access = null;
    tell();
  });

  return {
    get isSignedIn() {
      return localStorage.getItem(STORAGE_KEY) !== null;
    },
    async token() {
      if (access === null || access.expiresMs - EARLY_MS < Date.now()) await renew();
      return access?.token ?? null;
    },
    renew,
    async signIn(username, password) {
      const response = await post("/api/auth/login", { username, password });
      const answer = (await response.json()) as TokenPair & { readonly message?: string };
      if (!response.ok) throw new SignInError(answer.message ?? response.statusText);
      keep(answer);
      tell();
    },
    async signOut() {
      const token = access?.token;
      if (token !== undefined) {
        const headers = { "x-authorization": `Bearer ${token}` };
        await fetch("/api/auth/logout", { method: "POST", headers }).catch(() => undefined);
      }
      forget();
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function post(path: string, body: object): Promise<Response> {
  return fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

/** By this machine's clock, which may be wrong: a refused token is renewed all the same. */
function expiryOf(token: string): number {
  try {
    const { exp, iat } = JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"))) as {
      readonly exp: number;
      readonly iat: number;
    };
    return Date.now() + (exp - iat) * 1000;
  } catch {
    return 0;
  }
}
