/** A scene as SVG, and as PNG by drawing it. Text is escaped: names are data. */
import { COLOURS, type Scene, type Shape } from "./scene";

const FONT = "system-ui, sans-serif";

export function svgOf(scene: Scene): string {
  const body = scene.shapes.map(element).join("\n");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${scene.width}" height="${scene.height}" viewBox="0 0 ${scene.width} ${scene.height}" role="img" font-family="${FONT}">
<title>${escaped(scene.title)}</title>
<rect width="${scene.width}" height="${scene.height}" fill="${COLOURS.ground}"/>
${body}
</svg>
`;
}

function element(shape: Shape): string {
  switch (shape.shape) {
    case "box": {
      const { x, y, width, height, fill, stroke } = shape;
      const dash = shape.dashed ? ' stroke-dasharray="6 4"' : "";
      return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" fill="${COLOURS[fill]}" stroke="${COLOURS[stroke]}"${dash}/>`;
    }
    case "line": {
      const { x1, y1, x2, y2, stroke, dashed } = shape;
      const dash = dashed ? ' stroke-dasharray="6 4"' : "";
      const colour = COLOURS[stroke];
      const line = `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}" stroke-width="2"${dash}/>`;
      const points = tip(shape).map((point) => point.map((one) => one.toFixed(1)).join(","));
      return `${line}<polygon points="${points.join(" ")}" fill="${colour}" stroke="${colour}" stroke-width="2"/>`;
    }
    case "text": {
      const { x, y, text, fill, size } = shape;
      const weight = shape.bold ? ' font-weight="600"' : "";
      const anchor = shape.middle ? ' text-anchor="middle"' : "";
      return `<text x="${x}" y="${y}" font-size="${size}" fill="${COLOURS[fill]}"${weight}${anchor}>${escaped(text)}</text>`;
    }
  }
}

/** The end of a line: an arrow's three points, or the two of a bar. */
function tip({ x1, y1, x2, y2, dashed }: Shape & { shape: "line" }): [number, number][] {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [along, aside] = [(x2 - x1) / length, (y2 - y1) / length];
  const back = dashed ? 0 : 8;
  const at = (side: number): [number, number] => [
    x2 - back * along - side * aside,
    y2 - back * aside + side * along,
  ];
  return dashed ? [at(6), at(-6)] : [[x2, y2], at(4), at(-4)];
}

export function escaped(text: string): string {
  return text
    .replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/g, "\ufffd");
}

export async function pngOf(scene: Scene, scale = 2): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  canvas.width = scene.width * scale;
  canvas.height = scene.height * scale;
  const pen = canvas.getContext("2d");
  if (pen === null) return null;
  pen.scale(scale, scale);
  pen.fillStyle = COLOURS.ground;
  pen.fillRect(0, 0, scene.width, scene.height);
  for (const shape of scene.shapes) paint(pen, shape);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function paint(pen: CanvasRenderingContext2D, shape: Shape): void {
  pen.setLineDash(shape.shape !== "text" && shape.dashed ? [6, 4] : []);
  if (shape.shape === "box") {
    pen.beginPath();
    pen.roundRect(shape.x, shape.y, shape.width, shape.height, 6);
    pen.fillStyle = COLOURS[shape.fill];
    pen.strokeStyle = COLOURS[shape.stroke];
    pen.lineWidth = 1;
    pen.fill();
    pen.stroke();
  } else if (shape.shape === "line") {
    pen.beginPath();
    pen.moveTo(shape.x1, shape.y1);
    pen.lineTo(shape.x2, shape.y2);
    pen.strokeStyle = COLOURS[shape.stroke];
    pen.lineWidth = 2;
    pen.stroke();
    pen.setLineDash([]);
    pen.beginPath();
    for (const [x, y] of tip(shape)) pen.lineTo(x, y);
    pen.closePath();
    pen.fillStyle = COLOURS[shape.stroke];
    pen.fill();
    pen.stroke();
  } else {
    pen.font = `${shape.bold ? "600 " : ""}${shape.size}px ${FONT}`;
    pen.textAlign = shape.middle ? "center" : "left";
    pen.fillStyle = COLOURS[shape.fill];
    pen.fillText(shape.text, shape.x, shape.y);
  }
}
