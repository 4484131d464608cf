/** All policies of the open files that select a workload, on one canvas: each edge with its rules, and who wins. */
import { useEffect, useMemo, useState } from "react";
import {
  ApiError,
  api,
  type Direction,
  isAbort,
  type Rule,
  type Subject,
  type Union,
  type UnionEdge,
} from "../api";
import { useChoices } from "../canvas/choices";
import { Field } from "../canvas/field";
import { Links } from "../canvas/links";
import { directionTitle, LANE_TITLES } from "../canvas/words";
import { LANES } from "../model/draw";
import { useRefused } from "../workspace/judgement";
import { useWorkspace } from "../workspace/workspace";
import { labelsOf } from "./party-field";
import { RuleLinks, type ShowLine } from "./rule-links";
import { WorkloadChoice } from "./workload-choice";
import "../styles/canvas.css";

interface Props {
  show: ShowLine;
  subject: { namespace: string; labels: string };
}

export function UnionCanvas({ show, subject }: Props) {
  const { files } = useWorkspace();
  const choices = useChoices();
  const [namespace, setNamespace] = useState(subject.namespace);
  const [labels, setLabels] = useState(subject.labels);
  const [union, setUnion] = useState<Union | null>(null);
  const [error, setError] = useState<string | null>(null);
  const refused = useRefused();
  const read = useMemo(() => labelsOf(labels), [labels]);

  useEffect(() => {
    if (typeof read === "string") return;
    const chosen: Subject = { namespace: namespace.trim() || "default", labels: read };
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api
        .union(files, chosen, stop.signal)
        .then((answer) => {
          setUnion(answer);
          setError(null);
        })
        .catch((wrong: unknown) => {
          if (!isAbort(wrong)) setError(wrong instanceof ApiError ? wrong.message : String(wrong));
        });
    }, 120);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [files, namespace, read]);

  return (
    <div className="column">
      <div className="row padded-side">
        <WorkloadChoice
          workloads={choices.workloads}
          onChoose={(chosen, its) => {
            setNamespace(chosen);
            setLabels(its);
          }}
        />
        <Field
          label="Workload with labels"
          value={labels}
          onChange={setLabels}
          error={typeof read === "string" ? read : undefined}
          placeholder="app=backend"
          choices={choices.labels}
        />
        <Field
          label="in namespace"
          value={namespace}
          onChange={setNamespace}
          placeholder="default"
          choices={choices.namespaces}
        />
      </div>
      {error !== null && (
        <p className="notice deny" role="alert">
          {error}
        </p>
      )}
      {union !== null && (
        <div className="canvas" data-testid="union">
          <Links of={union} />
          <UnionSide direction="ingress" union={union} show={show} />
          <section className="subject" aria-label="Workload">
            <h2>{labels || "any labels"}</h2>
            <span className="quiet">namespace {namespace || "default"}</span>
            <p className="hint">
              {union.edges.length} {union.edges.length === 1 ? "edge" : "edges"} of {policies(union)}
            </p>
            {refused !== null && <p className="hint">kept, not drawn: {refused}</p>}
          </section>
          <UnionSide direction="egress" union={union} show={show} />
        </div>
      )}
      <p className="hint padded-side">
        Any deny wins over every allow. Where default deny is on, only what some rule allows passes.
      </p>
    </div>
  );
}

function policies(union: Union): string {
  const all = [...union.ingress.by, ...union.egress.by, ...union.edges.flatMap((edge) => edge.rules)];
  const names = new Set(all.map((rule: Rule) => `${rule.kind}/${rule.namespace ?? ""}/${rule.policy}`));
  return `${names.size} ${names.size === 1 ? "policy" : "policies"}`;
}

function UnionSide({ direction, union, show }: { direction: Direction; union: Union; show: ShowLine }) {
  const title = directionTitle(direction);
  const { enforced, by } = union[direction];
  const edges = union.edges.filter((edge) => edge.direction === direction);
  return (
    <section className={`side ${direction}`} aria-label={title}>
      <div className="side-head">
        <h2>{title}</h2>
        <span className={`chip ${enforced ? "allow" : "warn"}`}>
          {enforced ? "denied by default" : "all allowed by default"}
        </span>
      </div>
      {by.length > 0 && (
        <div className="hint">
          Default deny is on by <RuleLinks rules={by} show={show} label="Rules that turn on default deny" />
        </div>
      )}
      {LANES.map((lane) => {
        const here = edges.filter((edge) => edge.lane === lane);
        return (
          <section
            key={lane}
            className={`lane ${lane}`}
            aria-label={`${title}: ${LANE_TITLES[lane].toLowerCase()}`}
          >
            <h3>{LANE_TITLES[lane]}</h3>
            {here.length === 0 ? (
              <p className="hint">{enforced ? "Nobody." : "Everyone, for want of a rule."}</p>
            ) : (
              <ul className="cards">
                {here.map((edge) => (
                  <Edge key={edge.id} edge={edge} show={show} />
                ))}
              </ul>
            )}
          </section>
        );
      })}
    </section>
  );
}

function Edge({ edge, show }: { edge: UnionEdge; show: ShowLine }) {
  const overruled = edge.overruledBy.length > 0;
  return (
    <li
      className={`card ${edge.action}${overruled ? " overruled" : ""}`}
      data-link={edge.direction}
      data-action={edge.action}
    >
      <div className="card-head">
        <span className={`chip ${edge.action}`}>{edge.action === "allow" ? "✓ Allow" : "✕ Deny"}</span>
        <span className="quiet">{edge.peer.kind}</span>
        {edge.audit && <span className="chip warn">audit</span>}
      </div>
      <strong>{edge.peer.text}</strong>
      <ul className="chips" aria-label="Ports">
        {edge.ports.length === 0 ? (
          <li className="chip">all ports</li>
        ) : (
          edge.ports.map((port) => (
            <li className="chip" key={port}>
              {port}
            </li>
          ))
        )}
      </ul>
      {edge.dns !== null && (
        <ul className="chips" aria-label="Names that may be asked">
          <li className="quiet" aria-hidden="true">
            DNS
          </li>
          {edge.dns.map((name) => (
            <li className="chip" key={name}>
              {name}
            </li>
          ))}
        </ul>
      )}
      {edge.kept.map(({ path, what, rule }) => (
        <div className="hint" key={`${rule.file} ${rule.policy} ${path}`}>
          kept, not drawn: {what}
          <RuleLinks rules={[{ ...rule, rule: path }]} show={show} label={`Where it says ${what}`} />
        </div>
      ))}
      <RuleLinks rules={edge.rules} show={show} label="Rules it comes from" />
      {overruled && (
        <div className="hint">
          ✕ overruled, wholly or in part, by
          <RuleLinks rules={edge.overruledBy} show={show} label="Deny rules that win" />
        </div>
      )}
    </li>
  );
}
