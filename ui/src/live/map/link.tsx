/** A link of the map: solid what passed, dotted what only audit let pass, dashed with a cross what was dropped. */

import type { Edge, EdgeProps } from "@xyflow/react";
import { BaseEdge } from "@xyflow/react";
import { memo } from "react";
import type { Curve } from "../model/curve";
import { pathOf, pointAt } from "../model/curve";
import type { Link } from "../model/view";
import { portsLabel } from "../model/view";
import { short } from "../model/words";
import { VERDICT_WORDS } from "../verdict";

export type LinkEdge = Edge<
  { link: Link; curve: Curve; label: boolean; labelAt: number; dim: boolean },
  "link"
>;

export const LinkLine = memo(function LinkLine({ data, selected }: EdgeProps<LinkEdge>) {
  if (data === undefined) return null;
  const { link, curve, label, labelAt, dim } = data;
  const middle = pointAt(curve, labelAt);
  return (
    <g
      className={`map-link v-${link.verdict}${selected ? " selected" : ""}${dim ? " dim" : ""}${label ? " labelled" : ""}`}
    >
      <BaseEdge
        path={pathOf(curve)}
        interactionWidth={14}
        style={{ strokeWidth: width(link.count) }}
        markerEnd={`url(#map-arrow-${link.verdict})`}
      />
      <text
        className="map-link-label"
        x={middle.x}
        y={middle.y + (curve[3].x < curve[0].x ? 14 : -5)}
        textAnchor="middle"
      >
        {VERDICT_WORDS[link.verdict].sign} {portsLabel(link.ports)} · {short(link.count)}
      </text>
    </g>
  );
});

function width(count: number): number {
  return Math.min(4, 1.3 + Math.log10(Math.max(1, count)) * 0.6);
}

/** Arrow heads, one a verdict. */
export function Arrows() {
  return (
    <svg className="map-defs" aria-hidden="true">
      <defs>
        {(["forwarded", "audit", "dropped"] as const).map((verdict) => (
          <marker
            key={verdict}
            id={`map-arrow-${verdict}`}
            className={`map-arrow v-${verdict}`}
            viewBox="0 0 10 10"
            refX="8"
            refY="5"
            markerWidth="9"
            markerHeight="9"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M1 1 9 5 1 9z" />
          </marker>
        ))}
      </defs>
    </svg>
  );
}
