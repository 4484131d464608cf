/** One drawing a kind of party, 16 by 16. */

import type { Card } from "../model/view";

const PATHS: Readonly<Record<string, string>> = {
  workload: "M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.5v6",
  service: "M8 2v5M8 7 3.5 12M8 7l4.5 5M6.5 2h3M2 12h3M11 12h3",
  name: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM1.8 8h12.4M8 1.8c4 4 4 8.4 0 12.4M8 1.8c-4 4-4 8.4 0 12.4",
  entity: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  address: "M3 5.5h10M3 10.5h10M6.5 2.5l-1 11M10.5 2.5l-1 11",
  namespace: "M2 4.5h4l1.5 2H14v6H2z",
};

export function KindIcon({ kind, group }: { kind: Card["kind"]; group: string }) {
  const inside = group.startsWith("ns/") ? "namespace" : group.startsWith("domain/") ? "name" : "address";
  return (
    <svg className="map-icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[kind === "group" ? inside : kind]} />
    </svg>
  );
}
