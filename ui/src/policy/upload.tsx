/** Files from the reader's disk, opened as texts. */
import { type ReactNode, useRef, useState } from "react";
import { useAnnounce } from "../shell/announcer";
import { textOf } from "../shell/transfer";
import { useWorkspace } from "../workspace/workspace";

const LARGEST = 3_000_000; // bytes of one file: the server takes 4 MB in all

export interface Upload {
  choose: () => void;
  input: ReactNode;
  notice: ReactNode;
  take: (files: Iterable<File>) => Promise<void>;
}

export function useUpload(): Upload {
  const { open } = useWorkspace();
  const announce = useAnnounce();
  const element = useRef<HTMLInputElement>(null);
  const [refused, setRefused] = useState<readonly string[]>([]);

  const take = async (files: Iterable<File>) => {
    setRefused([]);
    const refuse = (why: string) => setRefused((before) => [...before, why]);
    for (const file of files) {
      if (file.size > LARGEST) {
        refuse(`\`${file.name}\` is larger than 3 MB`);
        continue;
      }
      const text = await textOf(file);
      if (text === null) {
        refuse(`\`${file.name}\` is no text in UTF-8`);
        continue;
      }
      open({ name: file.name, text }, `open ${file.name}`);
      announce(`${file.name} is open`);
    }
  };

  return {
    choose: () => element.current?.click(),
    take,
    input: (
      <input
        ref={element}
        type="file"
        multiple
        accept=".yaml,.yml,.json,application/yaml,text/plain"
        hidden
        aria-label="Policy files"
        onChange={(event) => {
          void take([...(event.target.files ?? [])]);
          event.target.value = "";
        }}
      />
    ),
    notice:
      refused.length === 0 ? null : (
        <p className="notice deny" role="alert">
          {refused.join("; ")}
        </p>
      ),
  };
}
