/** "What would change": which flows seen since start would get another verdict under the edited files. */

import { useEffect, useState } from "react";
import type { PolicyFile, WhatIf } from "../api";
import { ApiError, api, isAbort } from "../api";
import type { Row } from "./model/flow";
import { portText, rowOf } from "./model/flow";
import { edgeKey } from "./model/graph";
import { Parties } from "./model/party";
import type { WireFlow } from "./model/wire";
import { clock, plural } from "./model/words";
import { Wide } from "./pages/parts";

/** Milliseconds without a key before the server is asked. */
const PAUSE = 500;
/** Lines of the table. */
const MOST = 200;

export function WhatWouldChange({ files }: { files: readonly PolicyFile[] }) {
  const [answer, setAnswer] = useState<WhatIf | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api
        .whatIf(files, stop.signal)
        .then((found) => {
          setAnswer(found);
          setProblem("");
        })
        .catch((error: unknown) => {
          if (!isAbort(error)) setProblem(error instanceof ApiError ? error.message : String(error));
        });
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [files]);
  if (problem) return <p className="notice deny">{problem}</p>;
  if (answer === null) return <p className="quiet">Looking at the flows seen since start …</p>;
  return <Changed answer={answer} />;
}

function Changed({ answer }: { answer: WhatIf }) {
  if (answer.changed.length === 0) {
    return (
      <p className="notice allow">
        Nothing would change: all {plural(answer.seen, "flow")} seen keep their verdict.
      </p>
    );
  }
  const alike = grouped(answer);
  const stopped = answer.changed.filter((each) => judged(each.now) === "dropped").length;
  const opened = answer.changed.length - stopped;
  return (
    <>
      <p className={stopped > 0 ? "notice warn" : "notice allow"} role="status">
        Of {plural(answer.seen, "flow")} seen,{" "}
        {stopped > 0 && `${plural(stopped, "would be", "would be")} dropped`}
        {stopped > 0 && opened > 0 && " and "}
        {opened > 0 && `${plural(opened, "would be", "would be")} allowed`}.
      </p>
      <Wide label="Changed flows">
        <table className="live-plain">
          <thead>
            <tr>
              <th scope="col">Flow</th>
              <th scope="col">Was</th>
              <th scope="col">Now</th>
              <th scope="col">Last seen</th>
            </tr>
          </thead>
          <tbody>
            {alike.slice(0, MOST).map(({ row, was, now, count }) => (
              <tr key={row.uuid}>
                <td>
                  {row.source.text} → {row.query || row.destination.text}{" "}
                  <span className="mono">{portText(row)}</span>
                  {count > 1 && <span className="quiet"> × {count}</span>}
                </td>
                <td>
                  <Judged word={was} />
                </td>
                <td>
                  <Judged word={now} />
                </td>
                <td className="mono">{clock(row.time)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
      {alike.length > MOST && <p className="quiet">… and {alike.length - MOST} more.</p>}
    </>
  );
}

interface Alike {
  row: Row;
  was: string;
  now: string;
  count: number;
}

/** Flows of the same ends and port are one line, with the newest of them. */
function grouped(answer: WhatIf): Alike[] {
  const found = new Map<string, Alike>();
  const parties = new Parties();
  answer.changed.forEach(({ flow, was, now }, at) => {
    const row = rowOf(flow as WireFlow, "", at, parties);
    const key = `${edgeKey(row)} ${row.query} ${was} ${now}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { row, was, now, count: 1 });
    else {
      known.count++;
      if (row.time > known.row.time) known.row = row;
    }
  });
  return [...found.values()].sort((a, b) => b.row.time - a.row.time);
}

/** The server says `allow`, `deny` and, of questions for names, `refused`. */
function judged(word: string): "dropped" | "audit" | "forwarded" {
  if (/deny|denied|drop|refuse/i.test(word)) return "dropped";
  return /audit/i.test(word) ? "audit" : "forwarded";
}

function Judged({ word }: { word: string }) {
  const verdict = judged(word);
  return (
    <span className={`verdict v-${verdict}`}>
      <span aria-hidden="true">{{ dropped: "✕", audit: "◐", forwarded: "✓" }[verdict]}</span>{" "}
      {word.toLowerCase()}
    </span>
  );
}
