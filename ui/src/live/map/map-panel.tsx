/** What is known of the chosen card or link: its connections port by port, and what can be done about those dropped. */

import { useEffect, useRef, useState } from "react";
import { address, navigate } from "../../shell/route";
import { AllowDialog } from "../allow-dialog";
import { wireOf } from "../flow-details";
import { PartyLink, To } from "../links";
import type { Filter } from "../model/filter";
import { EVERYTHING } from "../model/filter";
import type { Row } from "../model/flow";
import { portText } from "../model/flow";
import type { Edge } from "../model/graph";
import { edgeKey } from "../model/graph";
import type { Card } from "../model/view";
import { plural } from "../model/words";
import { setFilter } from "../use-filter";
import { CountChips, VerdictChip } from "../verdict";
import type { Selection } from "./flow-map";
import type { MapState } from "./use-map";

interface Props {
  map: MapState;
  selected: Selection;
  onClose: () => void;
}

export function MapPanel({ map, selected, onClose }: Props) {
  const { view, model } = map;
  const heading = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another choice, another panel to read
  useEffect(() => heading.current?.focus(), [selected.id]);
  const [allowing, setAllowing] = useState<Row | null>(null);
  const link = view.links.find((each) => each.id === selected.id);
  const card = view.frames.flatMap((frame) => frame.cards).find((each) => each.id === selected.id);
  const edges = [...model.graph.edges.values()]
    .filter((edge) => {
      const source = view.shown.get(edge.source.id);
      const target = view.shown.get(edge.destination.id);
      return link
        ? source === link.source && target === link.target
        : source === selected.id || target === selected.id;
    })
    .sort((a, b) => b.counts.dropped - a.counts.dropped || b.counts.forwarded - a.counts.forwarded);
  const allow = (edge: Edge) => setAllowing(newestBlocked(map, edge));
  return (
    <aside
      className="live-panel"
      aria-label="Chosen on the map"
      onKeyDown={(event) => event.key === "Escape" && !allowing && onClose()}
    >
      <header className="live-panel-head">
        <h2 ref={heading} tabIndex={-1}>
          {link ? (
            <>
              <VerdictChip verdict={link.verdict} /> {plural(link.count, "flow")}
            </>
          ) : (
            (card?.title ?? "Gone")
          )}
        </h2>
        <button type="button" className="icon plain" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {card && <CardActions card={card} map={map} />}
      {edges.length === 0 && <p className="quiet">No flow is kept.</p>}
      <ul className="map-edges">
        {edges.slice(0, 80).map((edge) => (
          <li key={edge.key}>
            <span className="map-list-ends">
              <PartyLink party={edge.source} /> <To />
              <PartyLink party={edge.destination} />
            </span>
            <span className="map-list-more">
              <span className="mono">{portText(edge)}</span> <CountChips counts={edge.counts} />
              {edge.counts.dropped + edge.counts.audit > 0 && (
                <button type="button" onClick={() => allow(edge)}>
                  Allow this …
                </button>
              )}
              <button type="button" className="plain" onClick={() => showFlows(edge)}>
                Flows
              </button>
            </span>
          </li>
        ))}
      </ul>
      {edges.length > 80 && <p className="quiet">… and {edges.length - 80} more connections.</p>}
      {allowing && <AllowDialog flow={wireOf(allowing)} row={allowing} onClose={() => setAllowing(null)} />}
    </aside>
  );
}

function CardActions({ card, map }: { card: Card; map: MapState }) {
  const [party] = card.members;
  if (card.kind === "group" || !party) {
    return (
      <div className="column">
        <p className="quiet">{plural(card.members.length, "member")}, drawn as one.</p>
        <div className="row">
          <button type="button" className="main" onClick={() => map.toggle(card.group)}>
            Open
          </button>
        </div>
      </div>
    );
  }
  return (
    <div className="row">
      <CountChips counts={card.counts} />
      {party.kind === "workload" && (
        <a className="button" href={address("live", ["workload", party.namespace, party.name])}>
          Its page
        </a>
      )}
      {party.kind === "name" && (
        <a className="button" href={address("live", ["name", party.name])}>
          Its page
        </a>
      )}
      <button type="button" onClick={() => setFilter(only(card, party.text))}>
        Only this on the map
      </button>
    </div>
  );
}

function only(card: Card, text: string): Filter {
  return card.kind === "name" ? { ...EVERYTHING, name: text } : { ...EVERYTHING, workload: text };
}

/** The newest flow of an edge that did not pass, or that passed only in audit. */
function newestBlocked(map: MapState, edge: Edge): Row | null {
  const { list } = map.model.matches;
  for (let index = list.length - 1; index >= 0; index--) {
    const row = list.at(index);
    if (row && row.verdict !== "forwarded" && edgeKey(row) === edge.key) return row;
  }
  return null;
}

function showFlows(edge: Edge): void {
  const end = [edge.source, edge.destination].find((party) => party.kind !== "name");
  const name = [edge.source, edge.destination].find((party) => party.kind === "name");
  const query = {
    ...(end ? { workload: end.text } : {}),
    ...(name ? { name: name.text } : {}),
    ...(edge.port ? { port: portText(edge) } : {}),
  };
  navigate("flows", [], query);
}
