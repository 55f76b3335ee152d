"use strict";

// The server draws the page. This fetches it again and takes over what has changed, node by node, so that
// selections, focus and scroll positions stay.
const PERIOD = 1000;
const PATIENCE = 5000;

function take(old, fresh) {
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
    after.forEach((child, index) => (before[index] ? take(before[index], child) : old.append(child)));
    before.slice(after.length).forEach((child) => child.remove());
  }
}

async function renew() {
  const answer = await fetch("", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(answer.statusText);
  const text = await answer.text();
  // Without its head, whose style is not for this document's policy.
  const fresh = new DOMParser().parseFromString(text.slice(text.indexOf("<body>")), "text/html");
  for (const part of ["header", "main"]) take(document.querySelector(part), fresh.querySelector(part));
  document.title = document.querySelector("main").dataset.title;
}

// One after the other, and none while nobody looks.
async function follow() {
  if (!document.hidden) {
    try {
      await renew();
    } catch {
      const state = document.querySelector(".state");
      state.dataset.state = "lost";
      state.textContent = "no answer";
    }
  }
  setTimeout(follow, PERIOD);
}

setTimeout(follow, PERIOD);
