/**
 * Where what had the focus goes away (a fix that was taken, an undo that is no more), the browser forgets the place, and
 * Tab would begin at the top of the page. The focus then goes to what stood around it.
 */

const REST = 60; // ms for whoever knows a better place, as the canvas does

/** Watches `root` until the returned function is called. */
export function keepFocus(root: HTMLElement): () => void {
  let path: Element[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const take = ({ target }: FocusEvent) => {
    path = [];
    for (let at = target as Element | null; at !== null; at = at.parentElement) path.push(at);
  };
  const leave = ({ relatedTarget }: FocusEvent) => {
    if (relatedTarget instanceof Node && !root.contains(relatedTarget)) path = [];
  };
  const gone = () => path[0] !== undefined && (!path[0].isConnected || path[0].matches(":disabled"));
  const mend = () => {
    timer = undefined;
    if (!gone() || document.activeElement !== document.body) return;
    const around = path.find((each) => each.isConnected && each.matches("section, aside, nav, main"));
    if (!(around instanceof HTMLElement)) return;
    if (!around.hasAttribute("tabindex")) around.tabIndex = -1;
    around.focus({ preventScroll: true });
  };
  const observer = new MutationObserver(() => {
    if (timer === undefined && gone()) timer = setTimeout(mend, REST);
  });
  root.addEventListener("focusin", take);
  root.addEventListener("focusout", leave);
  observer.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    root.removeEventListener("focusin", take);
    root.removeEventListener("focusout", leave);
  };
}
