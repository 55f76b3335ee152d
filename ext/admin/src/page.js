"use strict";

// The server renders the page. The script fetches the page again and applies the differences node by node, so that
// selections, focus and scroll positions stay.
const INTERVAL = 1000;
const FETCH_TIMEOUT = 5000;

function patch(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((child, index) => (before[index] ? patch(before[index], child) : old.append(child)));
    before.slice(after.length).forEach((child) => child.remove());
  }
}

async function refresh() {
  const response = await fetch("", { cache: "no-store", signal: AbortSignal.timeout(FETCH_TIMEOUT) });
  if (!response.ok) throw new Error(response.statusText);
  const text = await response.text();
  // The head is left out, since its style has a nonce that the policy of this document does not allow.
  const fresh = new DOMParser().parseFromString(text.slice(text.indexOf("<body>")), "text/html");
  for (const part of ["header", "main"]) patch(document.querySelector(part), fresh.querySelector(part));
  document.title = document.querySelector("main").dataset.title;
}

// Refreshes one after the other, and not while the page is hidden.
async function follow() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch {
      const state = document.querySelector(".state");
      state.dataset.state = "lost";
      state.textContent = "no answer";
    }
  }
  setTimeout(follow, INTERVAL);
}

setTimeout(follow, INTERVAL);
