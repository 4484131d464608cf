/** One end of a flow: a workload (real or made up), a name, an address or an entity. */
import type { Party } from "../api";
import type { Choices } from "../canvas/choices";
import { Field } from "../canvas/field";
import { ENTITIES } from "../model/peer";
import { readSelector } from "../model/selector";
import { WorkloadChoice } from "./workload-choice";

export interface PartyForm {
  kind: "workload" | "name" | "address" | "entity";
  namespace: string;
  labels: string;
  name: string;
  address: string;
  entity: string;
}

export function partyForm(kind: PartyForm["kind"], namespace: string, labels: string): PartyForm {
  return { kind, namespace, labels, name: "kubernetes.io", address: "203.0.113.7", entity: "host" };
}

/** The labels that a text says, or a sentence. */
export function labelsOf(text: string): Record<string, string> | string {
  const selector = readSelector(text);
  if (typeof selector === "string") return selector;
  if (selector.matchExpressions !== null) return "a workload has labels alone, as `app=web, tier=front`";
  return selector.matchLabels ?? {};
}

export function partyOf(form: PartyForm): Party | string {
  switch (form.kind) {
    case "workload": {
      const labels = labelsOf(form.labels);
      if (typeof labels === "string") return labels;
      return { subject: { namespace: form.namespace.trim() || "default", labels } };
    }
    case "name":
      return form.name.trim() === "" ? "write a name, as `kubernetes.io`" : { name: form.name.trim() };
    case "address":
      return form.address.trim() === ""
        ? "write an address, as `203.0.113.7`"
        : { address: form.address.trim() };
    case "entity":
      return { entity: form.entity };
  }
}

interface Props {
  legend: string;
  form: PartyForm;
  change: (form: PartyForm) => void;
  names: boolean;
  error: string | undefined;
  choices: Choices;
}

export function PartyField({ legend, form, change, names, error, choices }: Props) {
  const set = (part: Partial<PartyForm>) => change({ ...form, ...part });
  return (
    <fieldset className="column">
      <legend>{legend}</legend>
      <label className="field">
        <span>What</span>
        <select
          value={form.kind}
          onChange={(event) => set({ kind: event.target.value as PartyForm["kind"] })}
        >
          <option value="workload">a workload</option>
          {names && <option value="name">a DNS name</option>}
          <option value="address">an address</option>
          <option value="entity">an entity</option>
        </select>
      </label>
      {form.kind === "workload" && (
        <>
          <WorkloadChoice
            workloads={choices.workloads}
            onChoose={(namespace, labels) => set({ namespace, labels })}
          />
          <Field
            label="Its labels"
            value={form.labels}
            onChange={(labels) => set({ labels })}
            error={error}
            placeholder="app=backend"
            choices={choices.labels}
          />
          <Field
            label="Its namespace"
            value={form.namespace}
            onChange={(namespace) => set({ namespace })}
            placeholder="default"
            choices={choices.namespaces}
          />
        </>
      )}
      {form.kind === "name" && (
        <Field
          label="Name"
          value={form.name}
          onChange={(name) => set({ name })}
          error={error}
          choices={choices.names}
        />
      )}
      {form.kind === "address" && (
        <Field label="Address" value={form.address} onChange={(address) => set({ address })} error={error} />
      )}
      {form.kind === "entity" && (
        <label className="field">
          <span>Entity</span>
          <select value={form.entity} onChange={(event) => set({ entity: event.target.value })}>
            {ENTITIES.filter((one) => one !== "all" && one !== "none" && one !== "cluster").map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      )}
    </fieldset>
  );
}
