/** "May backend reach kubernetes.io:443?": asked of the server, with the steps of its decision. */
import { type FormEvent, useEffect, useRef, useState } from "react";
import { ApiError, api, type Explanation, isAbort, type PolicyFile, type Question } from "../api";
import { useChoices } from "../canvas/choices";
import { Field } from "../canvas/field";
import { useAnnounce } from "../shell/announcer";
import { copyText, download } from "../shell/transfer";
import { useRefused } from "../workspace/judgement";
import { merged } from "../workspace/merged";
import { useWorkspace } from "../workspace/workspace";
import { FileDiff } from "./file-diff";
import { PartyField, type PartyForm, partyForm, partyOf } from "./party-field";
import { RuleLinks, type ShowLine } from "./rule-links";

interface Props {
  show: ShowLine;
  /** The workload of the policy that is shown: whom one asks about first. */
  subject: { namespace: string; labels: string };
}

export function TryIt({ show, subject }: Props) {
  const { files, edit } = useWorkspace();
  const announce = useAnnounce();
  const choices = useChoices();
  const [from, setFrom] = useState<PartyForm>(() => partyForm("workload", subject.namespace, subject.labels));
  const [to, setTo] = useState<PartyForm>(() => partyForm("name", subject.namespace, ""));
  const [port, setPort] = useState("443");
  const [protocol, setProtocol] = useState("TCP");
  const [question, setQuestion] = useState("");
  const [errors, setErrors] = useState<{ from?: string; to?: string; port?: string; other?: string }>({});
  const [answer, setAnswer] = useState<{ explanation: Explanation; files: readonly PolicyFile[] } | null>(
    null,
  );
  const asked = useRef<Question | null>(null);
  const request = useRef<AbortController | null>(null);

  const ask = (about: Question) => {
    request.current?.abort();
    const stop = new AbortController();
    request.current = stop;
    api
      .explain(files, about, stop.signal)
      .then((explanation) => {
        setAnswer({ explanation, files });
        setErrors({});
        announce(`${explanation.query}: ${explanation.verdict === "allow" ? "allowed" : "denied"}`);
      })
      .catch((error: unknown) => {
        if (isAbort(error)) return;
        setAnswer(null);
        setErrors({ other: error instanceof ApiError ? error.message : String(error) });
      });
  };

  // An answer that is shown stays true while the policies are edited.
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again for other files alone
  useEffect(() => {
    const again = asked.current;
    if (again === null) return;
    const timer = setTimeout(() => ask(again), 150);
    return () => clearTimeout(timer);
  }, [files]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const source = partyOf(from);
    const target = partyOf(to);
    const most = protocol.startsWith("ICMP") ? 255 : 65535;
    const number = /^\d+$/.test(port) && Number(port) <= most ? Number(port) : null;
    const wrong: typeof errors = {};
    if (typeof source === "string") wrong.from = source;
    if (typeof target === "string") wrong.to = target;
    if (number === null) wrong.port = `a number up to ${most}`;
    setErrors(wrong);
    if (typeof source === "string" || typeof target === "string" || number === null) {
      asked.current = null;
      return setAnswer(null); // it would stand there as the answer to this question
    }
    const about: Question = { from: source, to: target, port: number, protocol };
    if (question.trim() !== "") about.question = question.trim();
    asked.current = about;
    ask(about);
  };

  return (
    <div className="column">
      <form className="try" onSubmit={submit} noValidate>
        <PartyField
          legend="May"
          form={from}
          change={setFrom}
          names={false}
          error={errors.from}
          choices={choices}
        />
        <PartyField legend="reach" form={to} change={setTo} names error={errors.to} choices={choices} />
        <fieldset className="column">
          <legend>on</legend>
          <Field
            label={protocol.startsWith("ICMP") ? "ICMP type" : "Port"}
            value={port}
            onChange={setPort}
            error={errors.port}
          />
          <label className="field">
            <span>Protocol</span>
            <select value={protocol} onChange={(event) => setProtocol(event.target.value)}>
              {["TCP", "UDP", "SCTP", "ICMP", "ICMPv6"].map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <Field label="DNS question sent there" value={question} onChange={setQuestion} placeholder="none" />
        </fieldset>
        <button type="submit" className="main">
          Try it
        </button>
      </form>
      {errors.other !== undefined && (
        <p className="notice deny" role="alert">
          {errors.other}
        </p>
      )}
      {answer !== null && (
        <Answer
          explanation={answer.explanation}
          files={answer.files}
          show={show}
          onPatch={(after) => edit(merged(files, after), `allow ${answer.explanation.query}`)}
        />
      )}
    </div>
  );
}

interface AnswerProps {
  explanation: Explanation;
  files: readonly PolicyFile[];
  show: ShowLine;
  onPatch: (files: readonly PolicyFile[]) => void;
}

function Answer({ explanation, files, show, onPatch }: AnswerProps) {
  const [test, setTest] = useState(false);
  const { verdict, query, reason, steps, nearest, patchFiles, noPatch } = explanation;
  const refused = useRefused();
  const words = { allow: "✓ Allowed", deny: "✕ Denied" };
  return (
    <section className="column" aria-label="Answer">
      <p className={`notice ${verdict}`}>
        <strong>{words[verdict]}</strong>: <span className="mono">{query}</span>{" "}
        <span className="quiet">({reason.replaceAll("_", " ")})</span>
      </p>
      {refused !== null && (
        <p className="notice warn">Without {refused}: with them it may be another answer.</p>
      )}
      <RuleLinks rules={explanation.rules} show={show} label="Rules that decided" />
      <ol className="steps" aria-label="Steps">
        {steps.map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: steps are told in order
          <li key={at}>
            {one.direction !== null && <span className="chip">{one.direction}</span>} {one.text}
            <RuleLinks rules={one.rules} show={show} label="Rules of this step" />
          </li>
        ))}
      </ol>
      {nearest !== null && (
        <p className="notice">
          Nearest:{" "}
          <span className="mono">
            {nearest.policy} {nearest.field}
          </span>{" "}
          wants <span className="mono">{wanted(nearest.want)}</span>, the flow has{" "}
          <span className="mono">{nearest.got ?? "nothing"}</span>.
        </p>
      )}
      {patchFiles !== null && (
        <div className="column">
          <h2>The smallest change that allows it</h2>
          <FileDiff before={files} after={merged(files, patchFiles)} />
          <div>
            <button type="button" className="main" onClick={() => onPatch(patchFiles)}>
              Put it in
            </button>
          </div>
        </div>
      )}
      {noPatch !== null && <p className="quiet">{noPatch}</p>}
      <div>
        <button type="button" aria-expanded={test} onClick={() => setTest(!test)}>
          Make a unit test
        </button>
      </div>
      {test && <UnitTest key={explanation.test} text={explanation.test} />}
    </section>
  );
}

function UnitTest({ text }: { text: string }) {
  const announce = useAnnounce();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const done = await copyText(text);
    setCopied(done);
    announce(done ? "copied" : "not copied");
  };
  return (
    <figure className="diff">
      <figcaption className="row">
        <span className="grow">
          For <span className="mono">namewall test</span>
        </span>
        <button type="button" onClick={copy}>
          {copied ? "Copied" : "Copy"}
        </button>
        <button type="button" onClick={() => download("policy-test.yaml", text, "application/yaml")}>
          Download
        </button>
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <section tabIndex={0} aria-label="Unit test" className="padded">
        <pre>{text}</pre>
      </section>
    </figure>
  );
}

function wanted(want: unknown): string {
  if (Array.isArray(want)) return want.map(String).join(", ");
  return typeof want === "string" ? want : JSON.stringify(want);
}
