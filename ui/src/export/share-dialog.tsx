/** Share: a link that holds the files, the picture as SVG, PNG or Mermaid. Nothing is sent anywhere. */
import { useEffect, useState } from "react";
import type { Block, Drawing } from "../model/draw";
import { useAnnounce } from "../shell/announcer";
import { Dialog } from "../shell/dialog";
import { address } from "../shell/route";
import { copyText, download, pack } from "../shell/transfer";
import { useWorkspace } from "../workspace/workspace";
import { mermaidOf } from "./mermaid";
import { pngOf, svgOf } from "./render";
import { sceneOf } from "./scene";

interface Props {
  drawing: Drawing | null;
  block: Block | null;
  onClose: () => void;
}

const LONG = 8000; // characters: longer links break in some mails and chats

export default function ShareDialog({ drawing, block, onClose }: Props) {
  const { files, file } = useWorkspace();
  const [link, setLink] = useState("");
  const [all, setAll] = useState(false);
  const announce = useAnnounce();
  const shared = all || file === null ? files : [file];

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shared` is these
  useEffect(() => {
    let old = false;
    pack(shared).then((packed) => {
      if (!old) setLink(`${location.origin}${location.pathname}${address("policy", [], { p: packed })}`);
    });
    return () => {
      old = true;
    };
  }, [files, file, all]);

  const copy = (text: string, what: string) =>
    copyText(text).then((done) =>
      announce(done ? `${what} copied` : `${what} could not be copied: select it`),
    );
  const name = drawing?.name || "policy";
  return (
    <Dialog title="Share" onClose={onClose}>
      {link !== "" && (
        <label className="field">
          <span>Link that holds the policy</span>
          <textarea
            readOnly
            rows={4}
            className="mono"
            value={link}
            onFocus={(event) => event.target.select()}
          />
        </label>
      )}
      {files.length > 1 && (
        <label className="row">
          <input type="checkbox" checked={all} onChange={() => setAll(!all)} />
          All open files
        </label>
      )}
      <p className="hint">
        {link.length} characters
        {link.length > LONG ? ": some mail and chat programs cut links this long" : ""}. The policy is in the
        fragment, which browsers do not send; without your token.
      </p>
      <div className="row">
        <button type="button" className="main" disabled={link === ""} onClick={() => copy(link, "link")}>
          Copy the link
        </button>
      </div>
      {drawing !== null && block !== null && (
        <section className="column" aria-label="Picture">
          <h3>Picture of {name}</h3>
          <div className="row">
            <button
              type="button"
              onClick={() => download(`${name}.svg`, svgOf(sceneOf(drawing, block)), "image/svg+xml")}
            >
              SVG
            </button>
            <button
              type="button"
              onClick={() =>
                pngOf(sceneOf(drawing, block)).then((blob) => {
                  if (blob !== null) download(`${name}.png`, blob);
                })
              }
            >
              PNG
            </button>
            <button type="button" onClick={() => copy(mermaidOf(drawing, block), "Mermaid text")}>
              Copy Mermaid
            </button>
            <button type="button" onClick={() => download(`${name}.mmd`, mermaidOf(drawing, block))}>
              Mermaid
            </button>
          </div>
        </section>
      )}
    </Dialog>
  );
}
