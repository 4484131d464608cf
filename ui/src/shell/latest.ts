/** Functions and values that stay the same to those who hold them, while what they stand for goes on. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** The newest `does`, under one name: for callbacks of lists that should not be drawn again for it. */
export function useLatest<Given extends unknown[], Result>(
  does: (...given: Given) => Result,
): (...given: Given) => Result {
  const newest = useRef(does);
  useLayoutEffect(() => {
    newest.current = does;
  });
  return useCallback((...given: Given) => newest.current(...given), []);
}

/** `value` once it has stayed the same for `pause` ms; at once where that is 0. */
export function useSettled<T>(value: T, pause: number): T {
  const settled = useRef(value);
  const [, drawAgain] = useState(0);
  if (pause === 0) settled.current = value;
  useEffect(() => {
    if (pause === 0) return;
    const timer = setTimeout(() => {
      settled.current = value;
      drawAgain((times) => times + 1);
    }, pause);
    return () => clearTimeout(timer);
  }, [value, pause]);
  return settled.current;
}
