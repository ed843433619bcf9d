import { render, type ComponentChildren, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { createSession, SignInError, type Session } from "../api/session.ts";
import { text } from "../text/en.ts";
import { Icon, Mark, type IconName } from "./icons.tsx";
import { Button, Card, Failure, Field, PageHead, Segments } from "./parts.tsx";
import { Link, matchPath, RouterProvider, useRouter } from "./router.tsx";
import { applyTheme, useTheme, type Theme } from "./theme.ts";
import { ToastProvider } from "./toasts.tsx";

export type Authority = "SYS_ADMIN" | "TENANT_ADMIN" | "CUSTOMER_USER";

export interface PageParams {
  readonly params: Readonly<Record<string, string>>;
}

/** One page: a file of its own, and a line in the list of its end. */
export interface Page {
  /** `/edges/:edgeId` */
  readonly path: string;
  /** Whom the server lets read what it shows. */
  readonly access: readonly Authority[];
  /** Absent: not in the navigation. */
  readonly nav?: { readonly label: string; readonly icon: IconName };
  readonly View: (props: PageParams) => JSX.Element;
}

export interface User {
  readonly email: string;
  readonly authority: Authority;
}

export interface AppSpec {
  /** Which end it is. */
  readonly subtitle: string;
  /** In the order of the navigation; the first is at `/`. */
  readonly pages: readonly Page[];
  readonly readUser: () => Promise<User>;
  /** Gives the pages what they ask the server by. */
  readonly wrap: (pages: ComponentChildren) => JSX.Element;
}

/** Begins the pages of one end in the document. */
export function startApp(createSpec: (session: Session) => AppSpec): void {
  applyTheme();
  const session = createSession();
  const root = document.querySelector("#app");
  if (root === null) return;
  const spec = createSpec(session);
  render(
    <RouterProvider>
      <ToastProvider>
        <Gate session={session} spec={spec} />
      </ToastProvider>
    </RouterProvider>,
    root,
  );
}

interface AppProps {
  readonly session: Session;
  readonly spec: AppSpec;
}

function Gate({ session, spec }: AppProps): JSX.Element {
  const [isSignedIn, setSignedIn] = useState(session.isSignedIn);
  useEffect(() => session.onChange(() => setSignedIn(session.isSignedIn)), [session]);
  return isSignedIn ? <Frame session={session} spec={spec} /> : <SignIn session={session} spec={spec} />;
}

function SignIn({ session, spec }: AppProps): JSX.Element {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const [isWaiting, setWaiting] = useState(false);
  const signIn = async (): Promise<void> => {
    setWaiting(true);
    try {
      await session.signIn(username, password);
    } catch (thrown) {
      setError(thrown instanceof SignInError ? thrown : new Error(text.error.unreachable));
      setWaiting(false);
    }
  };
  useEffect(() => {
    document.title = `${text.signIn.title} · Skerry`;
  }, []);
  return (
    <main class="gate">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void signIn();
        }}
      >
        <h1 class="brand">
          <Mark />
          <span>
            Skerry<small>{spec.subtitle}</small>
          </span>
        </h1>
        <Field
          label={text.signIn.user}
          value={username}
          onInput={setUsername}
          autocomplete="username"
          isRequired
          hasFocus
        />
        <Field
          label={text.signIn.password}
          value={password}
          onInput={setPassword}
          type="password"
          autocomplete="current-password"
          isRequired
        />
        <Failure error={error} />
        <Button kind="main" type="submit" isWaiting={isWaiting}>
          {text.signIn.action}
        </Button>
      </form>
    </main>
  );
}

function Frame({ session, spec }: AppProps): JSX.Element {
  const { path } = useRouter();
  const [user, setUser] = useState<User | null>(null);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    spec.readUser().then(setUser, setError);
  }, [spec]);
  const allowed = spec.pages.filter(({ access }) => user !== null && access.includes(user.authority));
  return (
    <div class="frame">
      <a class="skip" href="#content">
        {text.frame.skip}
      </a>
      <header class="side">
        <Link to="/" class="brand">
          <Mark />
          <span>
            Skerry<small>{spec.subtitle}</small>
          </span>
        </Link>
        <nav class="nav" aria-label={text.frame.navigation}>
          {allowed.map(({ path: to, nav }) =>
            nav === undefined ? null : (
              <Link key={to} to={to} current={isWithin(path, to) ? "page" : undefined}>
                <Icon name={nav.icon} />
                {nav.label}
              </Link>
            ),
          )}
        </nav>
        <Account session={session} user={user} />
      </header>
      <main class="content" id="content" tabIndex={-1}>
        <Failure error={error} />
        {user === null ? null : spec.wrap(<Shown key={path} pages={allowed} path={path} />)}
      </main>
    </div>
  );
}

function isWithin(path: string, page: string): boolean {
  return path === page || (page !== "/" && path.startsWith(`${page}/`));
}

function Shown({ pages, path }: { readonly pages: readonly Page[]; readonly path: string }): JSX.Element {
  for (const { path: pattern, View } of pages) {
    const params = matchPath(pattern, path);
    if (params !== null) return <View params={params} />;
  }
  return (
    <>
      <PageHead title={text.frame.noPage} />
      <Card>
        <p>{pages.length === 0 ? text.frame.noPagesForRole : text.frame.noPageAbout}</p>
      </Card>
    </>
  );
}

function Account({ session, user }: { readonly session: Session; readonly user: User | null }): JSX.Element {
  const [theme, setTheme] = useTheme();
  return (
    <div class="account">
      <div>
        <strong>{user?.email ?? " "}</strong>
        <div class="soft small">{user === null ? "" : text.authority[user.authority]}</div>
      </div>
      <Segments
        label={text.frame.theme}
        value={theme}
        options={[
          ["system", text.frame.themes.system],
          ["light", text.frame.themes.light],
          ["dark", text.frame.themes.dark],
        ]}
        onChange={(value) => setTheme(value as Theme)} // one of the options
      />
      <Button isSlim onClick={() => void session.signOut()}>
        {text.signIn.out}
      </Button>
    </div>
  );
}
