/** The service map: who speaks to whom, as it happens, with the same graph as a list beside it. */

import { useCallback, useDeferredValue, useState } from "react";
import { useSession } from "../shell/session";
import { Filters } from "./filters";
import "./live.css";
import type { Selection } from "./map/flow-map";
import { cardMatches, FlowMap } from "./map/flow-map";
import "./map/map.css";
import { MapList } from "./map/map-list";
import { MapPanel } from "./map/map-panel";
import { useMap } from "./map/use-map";
import { plural } from "./model/words";
import { NotLive, StatusStrip } from "./status-strip";
import { useFilter } from "./use-filter";
import { useMedia } from "./use-live";

export default function MapView() {
  const { live } = useSession();
  return live ? <LiveMap /> : <NotLive />;
}

type Shown = "both" | "map" | "list";

function LiveMap() {
  const [filter, setFilter] = useFilter("map");
  const [background, setBackground] = useState(false);
  const [selected, setSelected] = useState<Selection | null>(null);
  const [find, setFind] = useState("");
  const [goto, setGoto] = useState(0);
  const wide = useMedia("(min-width: 1180px)");
  const narrow = useMedia("(max-width: 760px)");
  const [choice, setShown] = useState<Shown | null>(null);
  const shown = choice ?? (wide ? "both" : "map");
  const map = useMap(useDeferredValue(filter), background, narrow ? 0.65 : shown === "both" ? 1.45 : 2);
  const select = useCallback((next: Selection | null) => setSelected(next), []);
  const word = find.trim().toLowerCase();
  const cards = map.view.frames.flatMap((frame) => frame.cards);
  const found = word ? cards.filter((card) => cardMatches(card, word)) : [];
  const nodes = map.view.frames.reduce((sum, frame) => sum + frame.members, 0);
  const look = () => {
    const [only] = found;
    if (found.length === 1 && only?.kind === "group") map.toggle(only.group);
    setGoto((before) => before + 1);
  };
  return (
    <div className="live-fill">
      <h1 className="unseen">Map</h1>
      <div className="live-bar">
        <Filters filter={filter} onChange={setFilter} />
        <div className="live-bar-end">
          <StatusStrip />
        </div>
      </div>
      <div className="live-bar second">
        <form
          className="row"
          onSubmit={(event) => {
            event.preventDefault();
            look();
          }}
        >
          <label className="unseen" htmlFor="map-find">
            Find on the map
          </label>
          <input
            id="map-find"
            type="search"
            placeholder="Find on the map, Enter goes there"
            value={find}
            onChange={(event) => setFind(event.target.value)}
          />
          {word && <span className="quiet">{plural(found.length, "card")}</span>}
        </form>
        <span className="quiet live-wide">
          {plural(nodes, "node")}
          {nodes > cards.length && ` on ${plural(cards.length, "card")}`} ·{" "}
          {plural(map.model.graph.edges.size, "connection")}
        </span>
        <div className="live-bar-end">
          <button
            type="button"
            aria-pressed={background}
            onClick={() => setBackground(!background)}
            title="DNS questions that passed, and neighbours on a link that look for each other"
          >
            Background
          </button>
          <button type="button" className="live-wide" onClick={() => map.openAll(true)}>
            Open all
          </button>
          <button type="button" className="live-wide" onClick={() => map.openAll(false)}>
            Close all
          </button>
          <fieldset className="live-group">
            <legend className="unseen">Shown</legend>
            {(["map", "both", "list"] as const).map((each) =>
              each === "both" && !wide ? null : (
                <button key={each} type="button" aria-pressed={shown === each} onClick={() => setShown(each)}>
                  {{ map: "Map", both: "Map and list", list: "List" }[each]}
                </button>
              ),
            )}
          </fieldset>
        </div>
      </div>
      {map.problem && (
        <p className="notice deny" role="alert">
          The map could not be laid out: {map.problem}. The list is complete.
        </p>
      )}
      <div className="live-split">
        {shown !== "list" && (
          <section className="map-plane" aria-label="Map">
            {cards.length === 0 && (
              <p className="quiet padded map-empty">Nothing passes the filter, or no workload runs yet.</p>
            )}
            <FlowMap map={map} selected={selected} onSelect={select} find={word} goto={goto} />
            <Legend />
          </section>
        )}
        {selected ? (
          <MapPanel
            map={map}
            selected={selected}
            onClose={() => {
              setSelected(null);
              // Back to where the keyboard was.
              document
                .querySelector<HTMLElement>(`.map-plane [data-id="${CSS.escape(selected.id)}"]`)
                ?.focus();
            }}
          />
        ) : (
          shown !== "map" && <MapList map={map} find={word} onSelect={select} />
        )}
      </div>
    </div>
  );
}

function Legend() {
  return (
    <ul className="map-legend" aria-label="Lines">
      <li className="v-forwarded">✓ forwarded</li>
      <li className="v-audit">◐ audit</li>
      <li className="v-dropped">✕ dropped</li>
    </ul>
  );
}
