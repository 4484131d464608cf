import { defineConfig } from "vitest/config";

// The server that a page under development asks: `namewall editor` or `namewall up` on this machine.
const SERVER = "http://127.0.0.1:7480";

export default defineConfig({
  base: "./",
  html: { cspNonce: "__NONCE__" }, // the server puts a fresh nonce in its place for each answer
  build: {
    outDir: "../src/namewall/editor/static",
    emptyOutDir: true,
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0, // no data: addresses, the policy has none
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 2000, // elkjs, loaded with the map alone
  },
  test: { setupFiles: ["tests/seed.ts"], testTimeout: 120_000 },
  server: { proxy: { "/api": { target: SERVER, changeOrigin: true } } },
});
