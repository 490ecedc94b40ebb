// Keeps the checkout right: the countdown on the server's time, and whatever happens to the payment.
// It hears by server-sent events and asks where they do not come through; every state is drawn by the server.

import * as countdown from "./countdown.js";

const ASK_EVERY_MS = 3000;
const ASK_ANYWAY_AFTER_MS = 20000;

const said = document.getElementById("said");
const offline = document.getElementById("offline");
let main = document.querySelector("main");
let stream = null;
let heardAt = 0;
let asking = null;

const address = () => main.dataset.address;
const isOver = () => "lasting" in main.dataset;
const left = () => countdown.left(main);

function begin() {
  countdown.begin(main);
  for (const button of main.querySelectorAll("[data-print]")) {
    button.hidden = false;
  }
  tick();
}

function tick() {
  if (countdown.tick(main, said)) ask();
}

/** Learn how the payment stands: at most one question at a time. */
function ask(known = null) {
  asking ??= learn(known).finally(() => (asking = null));
  return asking;
}

async function learn(known) {
  if (!navigator.onLine) return;
  try {
    const headers = known ? { "If-None-Match": `W/"${known}"` } : {};
    const answer = await fetch(`${address()}/status`, { cache: "no-store", headers });
    if (answer.ok) await hear(await answer.json());
    connected(answer.status < 500);
  } catch {
    connected(false);
  }
}

async function hear({ tag, until, now }) {
  heardAt = Date.now();
  countdown.serverSays(now);
  main.dataset.until = until;
  if (tag !== main.dataset.tag) show(await (await fetch(address(), { cache: "no-store" })).text());
}

function show(page) {
  const fresh = new DOMParser().parseFromString(page, "text/html");
  const now = fresh.querySelector("main[data-tag]");
  if (!now) throw new Error("not the page that was asked for");
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const changed = now.dataset.stage !== main.dataset.stage;
  main.replaceWith(now);
  main = now;
  document.title = fresh.title;
  if (changed) said.textContent = [...main.querySelectorAll("h1, .words p")].map((one) => one.textContent).join(". ");
  begin();
  if (focused) (main.querySelector(focused.matches("[data-print]") ? "[data-print]" : "h1") ?? main).focus();
  if (isOver()) hang();
}

function connected(isConnected) {
  if (offline.hidden === isConnected) return;
  offline.hidden = isConnected;
  said.textContent = isConnected ? main.dataset.back : offline.textContent;
}

function listen() {
  hang();
  if (isOver() || !navigator.onLine) return;
  stream = new EventSource(`${address()}/events`);
  stream.onopen = () => connected(true);
  stream.onmessage = (event) => hear(JSON.parse(event.data)).catch(() => connected(false));
}

function hang() {
  stream?.close();
  stream = null;
}

function wake() {
  listen();
  ask();
}

async function renew(form) {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    show(await (await fetch(form.action, { method: "POST", headers: { "X-Swap": "1" } })).text());
    listen();
  } catch {
    connected(false);
    button.removeAttribute("aria-disabled");
  }
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  renew(event.target);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});
// A phone that was locked may hold a stream that is dead without knowing it.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
addEventListener("pageshow", (event) => event.persisted && wake());
addEventListener("focus", () => ask());
addEventListener("online", wake);
addEventListener("offline", () => {
  hang();
  connected(false);
});
addEventListener("pagehide", hang);

setInterval(tick, 250);
setInterval(() => {
  if ((isOver() && !countdown.hasOldMark(main)) || document.visibilityState === "hidden") return;
  const streams = stream?.readyState === EventSource.OPEN && Date.now() - heardAt < ASK_ANYWAY_AFTER_MS;
  if (!streams || left() <= 0) ask(left() > 0 ? main.dataset.tag : null);
  if (stream?.readyState === EventSource.CLOSED) listen();
}, ASK_EVERY_MS);

begin();
listen();
if (!navigator.onLine) connected(false);
