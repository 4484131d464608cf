/**
 * The lines between the subject and the cards: allow is a whole line with an arrow, deny a dashed one with a bar.
 *
 * Places are measured from the page; on a narrow screen, where all stands in one column, there are none.
 */
import { useLayoutEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";

interface Line {
  key: number;
  d: string;
  action: string;
}

interface Props {
  /** What is drawn: another one means that cards have moved. */
  of: object;
}

export function Links({ of }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const [lines, setLines] = useState<Line[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: measured again for every drawing
  useLayoutEffect(() => {
    const canvas = svg.current?.parentElement;
    if (!canvas) return;
    const measure = () => setLines(linesOf(canvas));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(canvas);
    // The subject stays in sight while the cards go by: scrolling moves it too.
    let frame = 0;
    const scrolled = ({ target }: Event) => {
      if (frame !== 0 || !(target instanceof Node) || !target.contains(canvas)) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        flushSync(measure); // in this frame: later, the lines would lag behind
      });
    };
    document.addEventListener("scroll", scrolled, { capture: true, passive: true });
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame);
      document.removeEventListener("scroll", scrolled, { capture: true });
    };
  }, [of]);
  return (
    <svg ref={svg} className="links" aria-hidden="true" focusable="false">
      <defs>
        <marker
          id="arrow-allow"
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="8"
          markerHeight="8"
          orient="auto"
        >
          <path className="tip allow" d="M0 0L8 4L0 8z" />
        </marker>
        <marker
          id="arrow-deny"
          viewBox="0 0 8 8"
          refX="6"
          refY="4"
          markerWidth="9"
          markerHeight="9"
          orient="auto"
        >
          <path className="tip deny" d="M5 0V8" />
        </marker>
      </defs>
      {lines.map((line) => (
        <path
          key={line.key}
          className={`link ${line.action}`}
          d={line.d}
          markerEnd={`url(#arrow-${line.action})`}
        />
      ))}
    </svg>
  );
}

function linesOf(canvas: HTMLElement): Line[] {
  const subject = canvas.querySelector(".subject");
  if (subject === null) return [];
  const origin = canvas.getBoundingClientRect();
  const middle = subject.getBoundingClientRect();
  const cards = [...canvas.querySelectorAll<HTMLElement>("[data-link]")];
  const boxes = cards.map((card) => ({ card, box: card.getBoundingClientRect() }));
  return boxes.flatMap(({ card, box }, key) => {
    const ingress = card.dataset.link === "ingress";
    const from = ingress ? box.right : middle.right;
    const to = ingress ? middle.left : box.left;
    if (to - from < 12) return []; // one column
    const cardY = Math.min(box.top + 24, box.bottom - 8) - origin.top;
    const subjectY = Math.max(middle.top + 20, Math.min(middle.bottom - 20, box.top + 24)) - origin.top;
    const [x1, y1, x2, y2] = ingress
      ? [from - origin.left, cardY, to - origin.left, subjectY]
      : [from - origin.left, subjectY, to - origin.left, cardY];
    const bend = (x2 - x1) / 2;
    return [
      {
        key,
        d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 2} ${y2}`,
        action: card.dataset.action ?? "allow",
      },
    ];
  });
}
