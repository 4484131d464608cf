/** Nothing is open yet: begin with an empty canvas, a template or a file. */
import { NewPolicy } from "./new-policy";
import { useUpload } from "./upload";

export function Start() {
  const { choose, input, notice } = useUpload();
  return (
    <div className="start padded column">
      <h1>Who may talk to whom</h1>
      <p>
        Draw a policy, or open one: the picture and the YAML stay the same thing. Nothing leaves this machine.
      </p>
      <div className="row">
        <button type="button" onClick={choose}>
          Open files …
        </button>
        {input}
      </div>
      {notice}
      <NewPolicy />
    </div>
  );
}
