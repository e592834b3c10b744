// Makes an open page live: when the server says that something happened, the page fetches itself and takes over what is new.
// Without this script every page is complete; a reload does the same.
"use strict";
const shown = document.getElementById("live");
const events = new EventSource("/live");
let busy = false;

async function refresh() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const active = document.activeElement;
    const typing = active instanceof HTMLInputElement;
    if (typing) return; // never from under somebody's hands
    const address = active instanceof HTMLAnchorElement ? active.getAttribute("href") : null;
    document.getElementById("main").replaceWith(fresh.getElementById("main"));
    document.querySelector("#asof time").replaceWith(fresh.querySelector("#asof time"));
    if (address) document.querySelector(`main a[href="${CSS.escape(address)}"]`)?.focus();
  } finally {
    busy = false;
  }
}

events.addEventListener("changed", refresh);
events.addEventListener("open", () => { shown.hidden = false; });
events.addEventListener("error", () => { shown.hidden = true; });
