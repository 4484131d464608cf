/** The policy editor: canvas, YAML, checks and questions about the open files. */
export function PolicyView() {
  return <p className="quiet padded">The policy editor</p>;
}
