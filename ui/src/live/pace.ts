/**
 * When flows are drawn: the first at once, those that come right behind soon (the past comes in pieces), and then at
 * most every `pause` milliseconds.
 */

const FIRST = 50;

export class Pace {
  private wait = FIRST;
  private last = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly draw: () => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Something is to be drawn. */
  need(pause: number): void {
    if (this.timer !== undefined) return;
    const left = this.last + Math.min(this.wait, pause) - this.now();
    if (left > 0) this.timer = setTimeout(this.turn, left);
    else this.turn();
    this.wait = Math.min(this.wait * 2, pause);
  }

  end(): void {
    clearTimeout(this.timer);
  }

  private readonly turn = () => {
    this.timer = undefined;
    this.last = this.now();
    this.draw();
  };
}
