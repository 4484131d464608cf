/** A modal dialog: labelled, Escape closes it, the focus goes back to where it came from. */
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";

/** What one came for: the first field to write in, else the first choice. */
const FIRST = "input:not([type=radio], [type=checkbox], [hidden]), textarea, :scope section button";

interface Props {
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ReactNode;
}

export function Dialog({ title, onClose, wide, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const dialog = element.current;
    if (dialog === null) return;
    if (!dialog.open) dialog.showModal();
    dialog.querySelector<HTMLElement>(FIRST)?.focus(); // else the browser takes the button that closes
    return () => dialog.close(); // while it is still there: the browser gives the focus back
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby={heading}
      className={wide ? "wide" : undefined}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()} // what it was opened from does not hear of its keys
    >
      <div className="column">
        <div className="row">
          <h2 id={heading} className="grow">
            {title}
          </h2>
          <button type="button" className="plain icon" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
