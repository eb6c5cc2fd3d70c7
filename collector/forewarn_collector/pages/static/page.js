// Small comforts of every page; each page works without them.
"use strict";

(function () {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function kept() {
    try { return window.localStorage.getItem("theme"); } catch { return null; }
  }

  // Before anything is drawn, so that nothing flashes.
  if (kept() === "light" || kept() === "dark") root.dataset.theme = kept();

  function toggle() {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try { window.localStorage.setItem("theme", next); } catch { /* it lasts for this page */ }
    document.dispatchEvent(new Event("theme"));
  }

  function typing(element) {
    return element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
  }

  // j and k go down and up a list, as in mail programs; Enter opens.
  function step(by) {
    const links = [...document.querySelectorAll(".list tbody th a, .work .what")].filter((one) => one.href);
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
    if (next) next.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  });

  document.addEventListener("DOMContentLoaded", () => {
    // What is copied stays on the page, too: where there is no clipboard, the text is selected.
    for (const button of document.querySelectorAll("[data-copy]")) {
      const text = document.getElementById(button.dataset.copy);
      button.hidden = false;
      button.addEventListener("click", async () => {
        window.getSelection().selectAllChildren(text);
        try {
          await navigator.clipboard.writeText(text.textContent.trim());
          button.textContent = "Copied";
        } catch { button.textContent = "Selected: copy it"; }
      });
    }
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.hidden = false;
      button.addEventListener("click", toggle);
    }
  });
})();
