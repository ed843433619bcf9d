import type { JSX } from "preact";

/** Drawn in a square of 24, by lines. */
const PATHS = {
  fleet: "M4 19V9m5 10V5m6 14v-7m5 7V8",
  edges: "M5 4h14v6H5zM5 14h14v6H5zM8 7h.01M8 17h.01",
  status: "M3 12h4l3-8 4 16 3-8h4",
  events: "M12 20V5m0 0-5 5m5-5 5 5M5 20h14",
  devices: "M7 7h10v10H7zM10 3v4m4-4v4m-4 10v4m4-4v4M3 10h4m-4 4h4m10-4h4m-4 4h4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      aria-hidden="true"
    >
      <path stroke-linejoin="round" d={PATHS[name]} />
    </svg>
  );
}

/** A skerry above water. */
export function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0b6e75" />
      <path d="M6 20l6-9 4 5 3-4 7 8z" fill="#fff" />
      <path
        d="M5 24.5c2.2-1.6 4.4-1.6 6.6 0s4.4 1.6 6.6 0 4.4-1.6 6.6 0"
        fill="none"
        stroke="#8fe0da"
        stroke-width="2"
        stroke-linecap="round"
      />
    </svg>
  );
}
