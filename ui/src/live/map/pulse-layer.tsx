/** Flows as dots on their links: one canvas above the map, drawn only while something moves. */

import { useStoreApi } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { useTheme } from "../../shell/theme";
import type { Curve } from "../model/curve";
import { pointAt } from "../model/curve";
import type { Verdict } from "../model/flow";
import { VERDICTS } from "../model/flow";
import type { Pulses } from "../model/pulses";
import { useMedia } from "../use-live";

interface Props {
  pulses: Pulses;
  curves: ReadonlyMap<string, Curve>;
}

export function PulseLayer({ pulses, curves }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const store = useStoreApi();
  const [theme] = useTheme();
  const still = useMedia("(prefers-reduced-motion: reduce)");
  const lines = useRef(curves);
  lines.current = curves;

  // biome-ignore lint/correctness/useExhaustiveDependencies: another theme has other colours
  useEffect(() => {
    const element = canvas.current;
    const pen = element?.getContext("2d");
    if (still || !element || !pen) return;
    const colours = coloursOf(element);
    let frame = 0;
    let drawn = false;
    const draw = () => {
      frame = requestAnimationFrame(draw);
      const running = pulses.at(performance.now());
      if (running.length === 0 && !drawn) return;
      const scale = devicePixelRatio;
      const { clientWidth, clientHeight } = element;
      if (
        element.width !== Math.round(clientWidth * scale) ||
        element.height !== Math.round(clientHeight * scale)
      ) {
        element.width = Math.round(clientWidth * scale);
        element.height = Math.round(clientHeight * scale);
      }
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, clientWidth, clientHeight);
      const [x, y, zoom] = store.getState().transform;
      for (const { pulse, t } of running) {
        const curve = lines.current.get(pulse.link);
        if (!curve) continue;
        const at = pointAt(curve, t);
        const radius =
          Math.min(6, 2 + Math.log2(1 + pulse.flows) * 0.7) * Math.max(0.75, Math.min(1.3, zoom));
        pen.globalAlpha = t < 0.1 ? t * 10 : 1 - Math.max(0, t - 0.85) * 5;
        pen.fillStyle = colours[pulse.verdict];
        dot(pen, at.x * zoom + x, at.y * zoom + y, radius, pulse.verdict);
      }
      pen.globalAlpha = 1;
      drawn = running.length > 0;
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [pulses, store, theme, still]);

  return (
    <>
      {VERDICTS.map((verdict) => (
        <span key={verdict} className={`map-colour v-${verdict}`} aria-hidden="true" />
      ))}
      <canvas ref={canvas} className="map-pulses" role="presentation" />
    </>
  );
}

/** A dropped flow is a cross, so that it is not told by colour alone. */
function dot(pen: CanvasRenderingContext2D, x: number, y: number, radius: number, verdict: Verdict): void {
  pen.beginPath();
  if (verdict === "dropped") {
    pen.strokeStyle = pen.fillStyle;
    pen.lineWidth = 1.8;
    pen.moveTo(x - radius, y - radius);
    pen.lineTo(x + radius, y + radius);
    pen.moveTo(x + radius, y - radius);
    pen.lineTo(x - radius, y + radius);
    pen.stroke();
    return;
  }
  pen.arc(x, y, radius, 0, Math.PI * 2);
  pen.fill();
}

function coloursOf(element: HTMLElement): Record<Verdict, string> {
  const found: Record<Verdict, string> = { forwarded: "green", audit: "orange", dropped: "red" };
  for (const verdict of VERDICTS) {
    const probe = element.parentElement?.querySelector(`.map-colour.v-${verdict}`);
    if (probe) found[verdict] = getComputedStyle(probe).color;
  }
  return found;
}
