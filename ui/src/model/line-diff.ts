/** Two texts line by line: what stays, what goes, what comes. The shortest such list (Myers), by common ends first. */
export interface DiffLine {
  sign: " " | "-" | "+";
  text: string;
}

const LARGEST = 4_000_000; // cells; beyond it the middle is shown as replaced whole

export function lineDiff(before: string, after: string): DiffLine[] {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail++;
  const same = (text: string): DiffLine => ({ sign: " ", text });
  return [
    ...a.slice(0, head).map(same),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map(same),
  ];
}

function middle(a: string[], b: string[]): DiffLine[] {
  const gone = (text: string): DiffLine => ({ sign: "-", text });
  const come = (text: string): DiffLine => ({ sign: "+", text });
  if (a.length * b.length > LARGEST || a.length === 0 || b.length === 0)
    return [...a.map(gone), ...b.map(come)];
  // longest[i][j]: how many lines a[i…] and b[j…] have in common, in order.
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const cell = (i: number, j: number) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] =
        a[i] === b[j] ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: " ", text: a[i++] ?? "" });
      j++;
    } else if (j >= b.length || (i < a.length && cell(i + 1, j) >= cell(i, j + 1)))
      lines.push(gone(a[i++] ?? ""));
    else lines.push(come(b[j++] ?? ""));
  }
  return lines;
}

/** Only the lines near a change, with `null` where lines were left out. */
export function hunks(lines: readonly DiffLine[], around = 3): (DiffLine | null)[] {
  const near = new Set<number>();
  lines.forEach((line, at) => {
    if (line.sign === " ") return;
    for (let one = at - around; one <= at + around; one++) near.add(one);
  });
  const out: (DiffLine | null)[] = [];
  lines.forEach((line, at) => {
    if (near.has(at)) out.push(line);
    else if (out.at(-1) !== null) out.push(null);
  });
  return out;
}
