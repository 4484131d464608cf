/** A live workload to take the labels and the namespace of; nothing where none is live. */
import type { LiveEndpoint } from "../api";

interface Props {
  workloads: readonly LiveEndpoint[];
  onChoose: (namespace: string, labels: string) => void;
}

export function WorkloadChoice({ workloads, onChoose }: Props) {
  if (workloads.length === 0) return null;
  const choose = (at: string) => {
    const one = workloads[Number(at)];
    if (one === undefined) return;
    const labels = Object.entries(one.labels).map(([key, value]) => `${key}=${value}`);
    onChoose(one.namespace, labels.join(", "));
  };
  return (
    <label className="field">
      <span>Live workload</span>
      <select value="" onChange={(event) => choose(event.target.value)}>
        <option value="" disabled>
          choose …
        </option>
        {workloads.map((one, at) => (
          <option key={`${one.namespace}/${one.name}`} value={at}>
            {one.namespace}/{one.name}
          </option>
        ))}
      </select>
    </label>
  );
}
