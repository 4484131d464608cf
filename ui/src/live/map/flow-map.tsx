/** The map itself: cards, frames and links on a plane that can be moved and zoomed. */

import "@xyflow/react/dist/style.css";
import type { Edge, EdgeChange, NodeChange } from "@xyflow/react";
import {
  Background,
  Controls,
  MiniMap,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  useStore,
} from "@xyflow/react";
import { memo, useCallback, useEffect, useMemo, useRef } from "react";
import { useTheme } from "../../shell/theme";
import type { Curve } from "../model/curve";
import type { Card, View } from "../model/view";
import { MapActions } from "./actions";
import type { LinkEdge } from "./link";
import { Arrows, LinkLine } from "./link";
import type { CardNode, FrameNode } from "./nodes";
import { CardBox, FrameBox } from "./nodes";
import { PulseLayer } from "./pulse-layer";
import type { MapState } from "./use-map";

export interface Selection {
  readonly kind: "card" | "link";
  readonly id: string;
}

interface Props {
  map: MapState;
  selected: Selection | null;
  onSelect: (selection: Selection | null) => void;
  /** What is looked for, in lower case. */
  find: string;
  /** Raised to bring what is found, or else everything, into sight. */
  goto: number;
}

const nodeTypes = { card: CardBox, frame: FrameBox };
const edgeTypes = { link: LinkLine };
const FIT = { padding: { x: "28px", top: "24px", bottom: "64px" }, maxZoom: 1.1, duration: 200 } as const;
const WORDS = {
  "node.a11yDescription.default": "Press Enter to show what is known of it",
  "edge.a11yDescription.default": "Press Enter to show its ports and flows",
};
/** Links of which every label can be shown at once. */
const FEW = 26;
const MANY = 60;
/** Pixels below which the words of a link stand before its middle: where two cross they differ. */
const SHORT = 240;

export const FlowMap = memo(function FlowMap(props: Props) {
  const { toggle } = props.map;
  const actions = useMemo(() => ({ toggle }), [toggle]);
  return (
    <ReactFlowProvider>
      <MapActions value={actions}>
        <Plane {...props} />
      </MapActions>
    </ReactFlowProvider>
  );
});

function Plane({ map, selected, onSelect, find, goto }: Props) {
  const [theme] = useTheme();
  const { view, placed, curves, pulses } = map;
  const near = useMemo(() => neighbours(view, selected), [view, selected]);
  const nodes = useNodes(map, selected, near, find);
  const edges = useEdges(map, selected, near);
  const { fitView } = useReactFlow();
  const moved = useRef(false);
  const ready = placed !== null && nodes.length > 0;

  const size = useStore((state) => `${state.width}x${state.height}`);
  // Until somebody moved the map, all of it is in sight. A frame later: React Flow then has the new places.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another size of the window is another picture
  useEffect(() => {
    if (!ready || placed === null || moved.current) return;
    const frame = requestAnimationFrame(() => void fitView(FIT));
    return () => cancelAnimationFrame(frame);
  }, [ready, placed, size, fitView]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when asked
  useEffect(() => {
    if (goto === 0) return;
    const found = nodes.filter((node) => node.type === "card" && node.data.found);
    moved.current = found.length > 0;
    void fitView({ ...FIT, ...(found.length ? { nodes: found, maxZoom: 1 } : {}) });
  }, [goto]);

  const nodesChanged = useCallback(
    (changes: NodeChange<CardNode | FrameNode>[]) => {
      for (const change of changes)
        if (change.type === "select" && change.selected) onSelect({ kind: "card", id: change.id });
    },
    [onSelect],
  );
  const edgesChanged = useCallback(
    (changes: EdgeChange<LinkEdge>[]) => {
      for (const change of changes)
        if (change.type === "select" && change.selected) onSelect({ kind: "link", id: change.id });
    },
    [onSelect],
  );
  return (
    <ReactFlow<CardNode | FrameNode, LinkEdge>
      className={`${useZoomClass()}${edges.length > MANY ? " many" : ""}`}
      nodes={nodes}
      edges={edges}
      nodeTypes={nodeTypes}
      edgeTypes={edgeTypes}
      onNodesChange={nodesChanged}
      onEdgesChange={edgesChanged}
      onPaneClick={() => onSelect(null)}
      onMoveStart={(event) => {
        if (event) moved.current = true;
      }}
      colorMode={theme}
      minZoom={0.08}
      maxZoom={2.5}
      nodesDraggable={false}
      nodesConnectable={false}
      deleteKeyCode={null}
      selectionKeyCode={null}
      multiSelectionKeyCode={null}
      ariaLabelConfig={WORDS}
    >
      <Background gap={24} size={1} />
      <Arrows />
      <PulseLayer pulses={pulses} curves={curves} />
      <Controls showInteractive={false} fitViewOptions={FIT} onFitView={() => (moved.current = false)} />
      {nodes.length > 40 && (
        <MiniMap pannable zoomable ariaLabel="Overview of the map" nodeClassName={miniClass} />
      )}
    </ReactFlow>
  );
}

function miniClass(node: CardNode | FrameNode): string {
  return node.type === "card" ? `mini k-${node.data.card.kind}` : "mini frame";
}

/** Far away only titles are written, and larger: what cannot be read is noise. */
function useZoomClass(): string {
  return useStore((state) =>
    state.transform[2] < 0.42 ? "far" : state.transform[2] < 0.7 ? "middle" : "near",
  );
}

/** The cards and links that belong to the selection; null where all do. */
function neighbours(view: View, selected: Selection | null): ReadonlySet<string> | null {
  if (selected === null) return null;
  const found = new Set<string>([selected.id]);
  for (const link of view.links) {
    const touches =
      selected.kind === "card"
        ? link.source === selected.id || link.target === selected.id
        : link.id === selected.id;
    if (!touches) continue;
    found.add(link.id).add(link.source).add(link.target);
  }
  return found;
}

export function cardMatches(card: Card, find: string): boolean {
  return (
    find !== "" &&
    (card.title.toLowerCase().includes(find) || card.members.some((party) => party.search.includes(find)))
  );
}

/** Nodes that did not change are the same objects, so that only changed ones are drawn. */
function useNodes(
  map: MapState,
  selected: Selection | null,
  near: ReadonlySet<string> | null,
  find: string,
): (CardNode | FrameNode)[] {
  const kept = useRef(new Map<string, { key: string; node: CardNode | FrameNode }>());
  const { view, placed } = map;
  return useMemo(() => {
    const before = kept.current;
    const now = new Map<string, { key: string; node: CardNode | FrameNode }>();
    const nodes: (CardNode | FrameNode)[] = [];
    const exact = view.shown.size <= MANY;
    const use = (id: string, key: string, make: () => CardNode | FrameNode) => {
      const old = before.get(id);
      const entry = old?.key === key ? old : { key, node: make() };
      now.set(id, entry);
      nodes.push(entry.node);
    };
    for (const frame of view.frames) {
      const box = placed?.frames.get(frame.id);
      if (!box) continue;
      if (frame.framed) {
        const dim = near !== null && !frame.cards.some((card) => near.has(card.id));
        use(`frame:${frame.id}`, JSON.stringify([box, frame.members, dim]), () => ({
          id: `frame:${frame.id}`,
          type: "frame",
          position: { x: box.x, y: box.y },
          width: box.width,
          height: box.height,
          measured: { width: box.width, height: box.height },
          data: { frame, dim },
          selectable: false,
          focusable: false,
          zIndex: -1,
        }));
      }
      for (const card of frame.cards) {
        const at = placed?.cards.get(card.id);
        if (!at) continue;
        const found = cardMatches(card, find);
        const dim = find !== "" ? !found : near !== null && !near.has(card.id);
        const chosen = selected?.id === card.id;
        const { forwarded, audit, dropped } = card.counts;
        const count = exact ? `${forwarded} ${audit}` : `${rough(forwarded)} ${rough(audit)}`;
        const key = `${at.x} ${at.y} ${at.width} ${count} ${dropped} ${card.members.length} ${found} ${dim} ${chosen}`;
        use(card.id, key, () => ({
          id: card.id,
          type: "card",
          position: { x: at.x, y: at.y },
          width: at.width,
          height: at.height,
          measured: { width: at.width, height: at.height },
          handles: [
            { type: "target", position: Position.Left, x: 0, y: at.height / 2, width: 1, height: 1 },
            { type: "source", position: Position.Right, x: at.width, y: at.height / 2, width: 1, height: 1 },
          ],
          data: { card, dim, found },
          selected: chosen,
          ariaLabel: cardWords(card),
          zIndex: 2,
        }));
      }
    }
    kept.current = now;
    return nodes;
  }, [view, placed, selected, near, find]);
}

function cardWords(card: Card): string {
  const { forwarded, audit, dropped } = card.counts;
  return `${card.kind} ${card.title}: ${forwarded} forwarded, ${audit} in audit, ${dropped} dropped`;
}

function useEdges(map: MapState, selected: Selection | null, near: ReadonlySet<string> | null): LinkEdge[] {
  const kept = useRef(new Map<string, { key: string; edge: LinkEdge }>());
  const { view, curves } = map;
  return useMemo(() => {
    const before = kept.current;
    const now = new Map<string, { key: string; edge: LinkEdge }>();
    const few = view.links.length <= FEW;
    const exact = view.shown.size <= MANY;
    const out = degrees(view, "source");
    const into = degrees(view, "target");
    for (const link of view.links) {
      const curve = curves.get(link.id);
      if (!curve) continue;
      const dim = near !== null && !near.has(link.id);
      const label = (near === null ? few : near.has(link.id)) && hasRoom(curve);
      const chosen = selected?.id === link.id;
      // Where links fan out their words stand near the far ends, so that they are not written over one another.
      const fan = (out.get(link.source) ?? 0) >= (into.get(link.target) ?? 0) ? 0.64 : 0.36;
      const labelAt = Math.abs(curve[3].x - curve[0].x) < SHORT ? 0.4 : fan;
      const count = label || exact ? link.count : rough(link.count);
      const key = `${labelAt} ${count} ${link.ports} ${dim} ${label} ${chosen}`;
      const old = before.get(link.id);
      now.set(
        link.id,
        old?.key === key && old.edge.data?.curve === curve
          ? old
          : { key, edge: edgeOf(link.id, { link, curve, label, labelAt, dim }, chosen) },
      );
    }
    kept.current = now;
    return [...now.values()].map(({ edge }) => edge);
  }, [view, curves, selected, near]);
}

/** Of many nodes not every one is drawn again for every flow: a count may be 5 % old, that of drops never. */
function rough(count: number): number {
  return Math.round(Math.log(count + 1) * 20);
}

/** Words need room between the cards, or above them. */
function hasRoom(curve: Curve): boolean {
  return Math.hypot(curve[3].x - curve[0].x, curve[3].y - curve[0].y) > 110;
}

function degrees(view: View, end: "source" | "target"): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const link of view.links) found.set(link[end], (found.get(link[end]) ?? 0) + 1);
  return found;
}

function edgeOf(id: string, data: NonNullable<LinkEdge["data"]>, selected: boolean): LinkEdge {
  const { link } = data;
  const found: Edge = {
    id,
    type: "link",
    source: link.source,
    target: link.target,
    data,
    selected,
    focusable: data.label,
    zIndex: selected ? 1 : 0,
    ariaLabel: `${link.source} to ${link.target}, ${link.verdict}, ${link.ports.join(", ")}, ${link.count} flows`,
  };
  return found as LinkEdge;
}
