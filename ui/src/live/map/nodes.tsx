/** Cards and frames of the map. */

import type { Node, NodeProps } from "@xyflow/react";
import { Handle, Position } from "@xyflow/react";
import { memo } from "react";
import type { Card, Frame } from "../model/view";
import { plural, short } from "../model/words";
import { useMapActions } from "./actions";
import { KindIcon } from "./icons";

export type CardNode = Node<{ card: Card; dim: boolean; found: boolean }, "card">;
export type FrameNode = Node<{ frame: Frame; dim: boolean }, "frame">;

export const CardBox = memo(function CardBox({ data, selected }: NodeProps<CardNode>) {
  const { card, dim, found } = data;
  const { toggle } = useMapActions();
  const group = card.kind === "group";
  const idle = card.counts.forwarded + card.counts.audit + card.counts.dropped === 0;
  const state = [
    selected && "selected",
    dim && "dim",
    found && "found",
    idle && "idle",
    card.counts.dropped > 0 && "drops",
  ]
    .filter(Boolean)
    .join(" ");
  return (
    <div className={`map-card k-${card.kind} ${state}`}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <Handle type="source" position={Position.Right} isConnectable={false} />
      <KindIcon kind={card.kind} group={card.group} />
      <span className="map-card-text">
        <span className="map-card-title" title={card.title}>
          <span className="map-card-name">{card.title}</span>
          {group && (
            <span className="map-card-members" title={memberWords(card.group, card.members.length)}>
              {card.members.length}
            </span>
          )}
        </span>
        <span className="map-card-sub">
          {subtitle(card)}
          {card.counts.audit > 0 && <span className="v-audit"> {short(card.counts.audit)} ◐</span>}
          {card.counts.dropped > 0 && <span className="v-dropped"> {short(card.counts.dropped)} ✕</span>}
        </span>
      </span>
      {group && (
        <button
          type="button"
          className="map-open nodrag nopan"
          aria-label={`Open ${card.title}`}
          title="Open"
          onClick={(event) => {
            event.stopPropagation();
            toggle(card.group);
          }}
        >
          +
        </button>
      )}
    </div>
  );
});

function subtitle(card: Card): string {
  const { forwarded, audit, dropped } = card.counts;
  if (forwarded > 0) return `${short(forwarded)} ✓`;
  return audit + dropped > 0 ? "" : "no flows";
}

function memberWords(group: string, count: number): string {
  if (group.startsWith("ns/")) return plural(count, "workload");
  return group.startsWith("domain/") ? plural(count, "name") : plural(count, "address", "addresses");
}

export const FrameBox = memo(function FrameBox({ data }: NodeProps<FrameNode>) {
  const { frame, dim } = data;
  const { toggle } = useMapActions();
  return (
    <div className={`map-frame ${frame.kind}${dim ? " dim" : ""}`}>
      <div className="map-frame-head">
        <span className="map-frame-title" title={frame.title}>
          {frame.title}
        </span>
        <span className="map-frame-count">{frame.members}</span>
        {frame.members > 1 && (
          <button
            type="button"
            className="map-open nodrag nopan"
            aria-label={`Close ${frame.title}`}
            title="Close"
            onClick={(event) => {
              event.stopPropagation();
              toggle(frame.id);
            }}
          >
            −
          </button>
        )}
      </div>
    </div>
  );
});
