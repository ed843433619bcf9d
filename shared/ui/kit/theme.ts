import { useEffect, useState } from "preact/hooks";

export type Theme = "system" | "light" | "dark";

const STORAGE_KEY = "skerry.theme";

/** Before anything is drawn. */
export function applyTheme(): void {
  show(readTheme());
}

export function useTheme(): readonly [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(readTheme);
  useEffect(() => {
    localStorage.setItem(STORAGE_KEY, theme);
    show(theme);
  }, [theme]);
  return [theme, setTheme];
}

function readTheme(): Theme {
  const stored = localStorage.getItem(STORAGE_KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

function show(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
