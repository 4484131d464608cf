/** An empty canvas of a kind, or a template: opened as a new file. */
import { KIND_TITLES } from "../canvas/words";
import { KINDS } from "../model/objects";
import { emptyPolicy, TEMPLATES } from "../model/templates";
import { useWorkspace } from "../workspace/workspace";

export function NewPolicy({ onDone }: { onDone?: () => void }) {
  const { open } = useWorkspace();
  const make = (name: string, text: string) => {
    open({ name, text }, "new policy");
    onDone?.();
  };
  return (
    <>
      <section className="column" aria-label="Empty canvas">
        <h2>Empty canvas</h2>
        <div className="row">
          {KINDS.map((kind) => (
            <button
              key={kind}
              type="button"
              onClick={() => make("policy.yaml", emptyPolicy(kind, "my-policy", ""))}
            >
              {KIND_TITLES[kind]}
            </button>
          ))}
        </div>
      </section>
      <section className="column" aria-label="Templates">
        <h2>Templates</h2>
        <ul className="column">
          {TEMPLATES.map((one) => (
            <li key={one.title} className="row">
              <button type="button" onClick={() => make(one.file, one.text)}>
                {one.title}
              </button>
              <span className="quiet">{one.about}</span>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
