/**
 * The shell: tabs, theme, and what every view shares (session, open files, their judgement, the announcer).
 *
 * The live views are loaded when they are first opened; the policy editor is the first page.
 */
import { type ComponentType, Suspense, useEffect, useRef } from "react";
import { PolicyView } from "./policy-view";
import { Announcer } from "./shell/announcer";
import { Boundary } from "./shell/boundary";
import { keepFocus } from "./shell/kept-focus";
import { later } from "./shell/later";
import { address, useRoute } from "./shell/route";
import { SessionProvider, useSession } from "./shell/session";
import { useTheme } from "./shell/theme";
import { JudgementProvider } from "./workspace/judgement";
import { WorkspaceProvider } from "./workspace/workspace";

interface Tab {
  name: string;
  title: string;
  view: ComponentType;
}

const TABS: readonly Tab[] = [
  { name: "policy", title: "Policy", view: PolicyView },
  { name: "live", title: "Live", view: later(() => import("./live/live-view")) },
  { name: "flows", title: "Flows", view: later(() => import("./live/flows-view")) },
  { name: "map", title: "Map", view: later(() => import("./live/map-view")) },
];

export function App() {
  return (
    <Announcer>
      <SessionProvider>
        <WorkspaceProvider>
          <JudgementProvider>
            <Shell />
          </JudgementProvider>
        </WorkspaceProvider>
      </SessionProvider>
    </Announcer>
  );
}

function Shell() {
  const route = useRoute();
  const { session, error } = useSession();
  const tab = TABS.find((one) => one.name === route.tab) ?? TABS[0];
  const title = tab?.title;
  const content = useRef<HTMLElement>(null);
  useEffect(() => (content.current === null ? undefined : keepFocus(content.current)), []);
  useEffect(() => {
    document.title = `${title} · Namewall`;
  }, [title]);
  if (tab === undefined) return null;
  const View = tab.view;
  return (
    <>
      <button type="button" className="skip" onClick={toContent}>
        To the content
      </button>
      <header className="bar">
        <span className="brand">Namewall</span>
        <nav aria-label="Views">
          <ul className="tabs">
            {TABS.map((one) => (
              <li key={one.name}>
                <a href={address(one.name)} aria-current={one === tab ? "page" : undefined}>
                  {one.title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        {session !== null && <span className="version">{session.version}</span>}
        <ThemeSwitch />
      </header>
      {error !== null && (
        <p className="notice deny" role="alert">
          {error}
        </p>
      )}
      <main id="content" tabIndex={-1} ref={content}>
        <Boundary key={tab.name}>
          <Suspense fallback={<p className="quiet padded">Loading …</p>}>
            <View />
          </Suspense>
        </Boundary>
      </main>
    </>
  );
}

/** The fragment is the route, so a link to the content moves the focus by hand. */
function toContent() {
  document.getElementById("content")?.focus();
}

function ThemeSwitch() {
  const [theme, turn] = useTheme();
  return (
    <button type="button" className="plain" aria-pressed={theme === "dark"} onClick={turn}>
      Dark
    </button>
  );
}
