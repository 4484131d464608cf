import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { showTheme } from "./shell/theme";
import { takeToken } from "./shell/token";
import "./styles/tokens.css";
import "./styles/controls.css";
import "./styles/shell.css";

takeToken();
// A link with a token, pasted into the tab that is open: the page is another one then.
addEventListener("hashchange", () => {
  if (takeToken()) location.reload();
});
showTheme();

const page = document.getElementById("page");
if (page !== null) {
  createRoot(page).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
