/** Text that comes in pieces, as whole lines. */
export class Lines {
  private rest = "";

  /** The lines that `piece` ends; what follows the last newline waits for more. */
  take(piece: string): string[] {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    return lines;
  }
}
