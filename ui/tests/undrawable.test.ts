/** Where there is nothing to draw, the page says why. */
import { expect, test } from "vitest";
import { undrawable } from "../src/policy/undrawable";

const SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: Yg==}\n";

test("what is no policy is named", () => {
  expect(undrawable(SECRET, 0)).toBe("`Secret` is no policy: there is nothing to draw.");
  expect(undrawable(`${SECRET}---\n${SECRET.replace("Secret", "ConfigMap")}`, 1)).toContain("`ConfigMap`");
});

test("what may become one is told what it needs", () => {
  expect(undrawable("kind: CiliumNetworkPolicy\n", 0)).toContain("needs `apiVersion`");
  expect(undrawable("a: 1\n", 0)).toContain("needs `apiVersion`");
  expect(undrawable("", 0)).toContain("needs `apiVersion`");
});
