/** Light or dark: as the system says, unless the reader chose. The choice is the `data-theme` of the document. */
import { useCallback, useSyncExternalStore } from "react";

export type Theme = "light" | "dark";

const KEY = "namewall.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function chosen(): Theme | null {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : null;
}

export function theme(): Theme {
  return chosen() ?? (system.matches ? "dark" : "light");
}

export function showTheme(): void {
  document.documentElement.dataset.theme = theme();
  for (const changed of listeners) changed();
}

system.addEventListener("change", showTheme);

export function useTheme(): [Theme, () => void] {
  const now = useSyncExternalStore((changed) => {
    listeners.add(changed);
    return () => listeners.delete(changed);
  }, theme);
  const turn = useCallback(() => {
    const next = theme() === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, next);
    showTheme();
  }, []);
  return [now, turn];
}
