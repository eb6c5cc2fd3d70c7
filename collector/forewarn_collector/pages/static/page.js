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

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.hidden = false;
      button.addEventListener("click", toggle);
    }
  });
})();
