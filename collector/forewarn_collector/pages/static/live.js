// Keeps an order's page fresh: asks for the same page again and takes over its marked parts.
// The answer is parsed, never run: what is in it was escaped by the server, and is inert here.
"use strict";

(function () {
  let misses = 0;

  function pace(from) {
    const marked = from.querySelector("[data-live]");
    return marked ? Number(marked.dataset.live) : 0;
  }

  function takeOver(part, fresh) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML) return;
    const at = document.activeElement;
    const address = part.contains(at) ? at.getAttribute("href") : null;
    part.replaceChildren(...[...next.childNodes].map((node) => document.importNode(node, true)));
    if (address) {
      const same = [...part.querySelectorAll("a")].find((one) => one.getAttribute("href") === address);
      if (same) same.focus();
    }
  }

  function say(text) {
    const place = document.getElementById("live-fresh");
    if (place && place.textContent !== text) place.textContent = text;
  }

  async function look() {
    let seconds = pace(document) * 2 ** Math.min(misses, 4);
    if (document.hidden) { window.setTimeout(look, seconds * 1000); return; }
    try {
      const answer = await fetch(window.location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live-part], [data-live]")) takeOver(part, fresh);
      misses = 0;
      seconds = pace(fresh);
      say("");
    } catch {
      misses += 1;
      say("The collector does not answer; this is how it was.");
    }
    if (seconds) window.setTimeout(look, seconds * 1000);
  }

  const first = pace(document);
  if (first) window.setTimeout(look, first * 1000);
})();
