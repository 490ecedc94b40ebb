// Keeps the till right: what is shown is drawn by the server, and fetched anew whenever the server says it has changed.
// Pages of the till follow each other without being loaded, so that the device may go on speaking.

import * as countdown from "./countdown.js";
import { begin as beginKeys } from "./pos-keypad.js";
import { arm, say } from "./pos-voice.js";

const ASK_EVERY_MS = 3000;
const ASK_TILL_EVERY_MS = 6000;
const ASK_ANYWAY_AFTER_MS = 20000;
const WARN_AFTER_FAILURES = 3;
const BY_ITSELF = { "X-By-Itself": "1" }; // nobody has touched the till: whoever is signed in may be far away
const SWAPPED = { "X-Swap": "1" }; // what is refused is then said on a page that no console takes for a failure
const [OPEN, CLOSED] = [1, 2]; // what a stream's readyState means

const said = document.getElementById("said");
const offline = document.getElementById("offline");
const warning = document.getElementById("warning");
let main = document.querySelector("main");
let stream = null;
let heardAt = 0;
let asking = null;
let askedAt = 0;
const failures = { asking: 0, sending: 0 }; // in a row
let lock = null;

const isPayment = () => main.dataset.page === "payment";
const isOver = () => "lasting" in main.dataset;
const left = () => countdown.left(main);

function begin() {
  countdown.begin(main);
  beginKeys();
  enable();
  stayAwake();
  tick();
}

function tick() {
  if (countdown.tick(main, said)) ask();
}

/** Learn how things stand: at most one question at a time. */
function ask() {
  asking ??= learn().finally(() => (asking = null));
  return asking;
}

async function learn() {
  askedAt = Date.now();
  if (!main.dataset.asked) return;
  if (!navigator.onLine) return connected(false);
  const page = main;
  try {
    const answer = await fetch(page.dataset.asked, { cache: "no-store" });
    if (isSignedOut(answer)) return location.reload(); // the page asks who is there
    if (!answer.ok) throw new Error(answer.status);
    const news = await answer.json();
    if (page === main) await hear(news);
    connected(true);
    failed("asking", false);
  } catch {
    failed("asking", true);
    connected(false);
  }
}

async function hear({ tag, until, now }) {
  heardAt = Date.now();
  countdown.serverSays(now);
  if (until) main.dataset.until = until;
  const page = main;
  if (tag === page.dataset.tag) return;
  const fresh = await (await fetch(page.dataset.address, { cache: "no-store", headers: BY_ITSELF })).text();
  if (page === main) show(fresh);
}

/** Put the page that the server has drawn in the place of what is shown. */
function show(text, { moved = false } = {}) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const now = fresh.querySelector("main[data-page]");
  if (!now) throw new Error("not a page of the till");
  document.title = fresh.title;
  if (!moved && now.dataset.page === "till" && main.dataset.page === "till" && !now.querySelector(".wrong")) {
    main.querySelector("[data-live]").replaceWith(now.querySelector("[data-live]")); // what is being typed stays
    Object.assign(main.dataset, { tag: now.dataset.tag, now: now.dataset.now });
    return begin();
  }
  const before = main;
  const hadFocus = before.contains(document.activeElement) || document.activeElement === document.body;
  main.replaceWith(now);
  main = now;
  document.querySelector(".bar").replaceWith(fresh.querySelector(".bar"));
  const changed = moved || before.dataset.stage !== main.dataset.stage;
  if (changed && isPayment()) tell(before);
  begin();
  if (moved) scrollTo(0, 0);
  if (hadFocus && changed) main.querySelector("h1").focus({ preventScroll: !moved });
  if (moved || changed) listen();
}

function tell(before) {
  said.textContent = [...main.querySelectorAll("h1, .outcome .amount, .words p")].map((one) => one.textContent).join(". ");
  if (main.dataset.say && before.dataset.address === main.dataset.address) say(main.dataset.say, main.dataset.sayLang);
}

function connected(isConnected) {
  if (offline.hidden === isConnected) return;
  offline.hidden = isConnected;
  enable();
  const qr = main.querySelector(".qris img");
  if (isConnected && qr?.complete && !qr.naturalWidth) qr.src = qr.src; // it was on its way when the line was cut
  said.textContent = isConnected ? main.dataset.back : offline.textContent;
}

/** Whatever needs the server is off while it cannot be reached, and QRIS while no provider answers. */
function enable() {
  const isCut = !offline.hidden;
  const isResting = main.querySelector("[data-resting]") !== null;
  for (const button of main.querySelectorAll("[data-online]")) button.disabled = isCut || isResting;
  main.classList.toggle("cut", isCut);
  const veil = main.querySelector(".veil");
  if (veil) veil.hidden = !isCut;
}

function failed(what, isFailure) {
  failures[what] = isFailure ? failures[what] + 1 : 0;
  warning.hidden = !isPayment() || Math.max(...Object.values(failures)) < WARN_AFTER_FAILURES;
}

function listen() {
  hang();
  if (!main.dataset.events || isOver() || !navigator.onLine) return;
  stream = new EventSource(main.dataset.events);
  const address = main.dataset.address;
  stream.onmessage = (event) => {
    if (address !== main.dataset.address) return;
    hear(JSON.parse(event.data)).then(() => connected(true), () => connected(false));
  };
}

function hang() {
  stream?.close();
  stream = null;
}

async function send(form) {
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) return;
  const button = form.querySelector("button:not([type])");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    await arrive(await fetch(form.action, { method: "POST", body, headers: SWAPPED }));
  } catch {
    failed("sending", true); // the same form may be sent again: it makes no second payment
    connected(false);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

async function follow(link) {
  try {
    await arrive(await fetch(link.href, { headers: SWAPPED }));
  } catch {
    connected(false);
  }
}

/** Show what a link or a form led to, and where it is. */
async function arrive(answer) {
  if (isSignedOut(answer)) return location.reload();
  if (!answer.ok) throw new Error(answer.status);
  const text = await answer.text();
  if (!isTill(text)) return isForm(answer) ? location.reload() : location.assign(answer.url);
  const moved = answer.redirected || (answer.url !== location.href && !isForm(answer));
  show(text, { moved });
  if (moved) history.pushState(null, "", answer.url);
  if (main.dataset.notice) failed("sending", main.dataset.notice === "unreachable");
}

const isSignedOut = (answer) => answer.status === 401 || /\/sign-in$/.test(new URL(answer.url).pathname);
const isTill = (text) => /<main [^>]*data-page=/.test(text);
const isForm = (answer) => /\/(payments|check|cancel|renew)$/.test(new URL(answer.url).pathname);

/** A phone must not go dark while a customer scans. */
async function stayAwake() {
  const isNeeded = isPayment() && ["waiting", "checking", "closing"].includes(main.dataset.stage);
  if (!isNeeded) {
    lock?.release().catch(() => {});
    lock = null;
  } else if (!lock && navigator.wakeLock && document.visibilityState === "visible") {
    lock = await navigator.wakeLock.request("screen").catch(() => null);
    lock?.addEventListener("release", () => (lock = null));
  }
}

function wake() {
  listen();
  ask();
  stayAwake();
}

document.addEventListener("submit", (event) => {
  if (!("swap" in event.target.dataset)) return;
  event.preventDefault();
  send(event.target);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  follow(link);
});
for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, arm);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
addEventListener("popstate", () => location.reload());
// A page from the browser's memory has an old form, and may show what is no longer so.
addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("focus", () => ask());
addEventListener("online", wake);
addEventListener("offline", () => {
  hang();
  connected(false);
});
addEventListener("pagehide", hang);

setInterval(tick, 250);
setInterval(() => {
  if (document.visibilityState === "hidden" || (isOver() && !countdown.hasOldMark(main))) return;
  const streams = stream?.readyState === OPEN && Date.now() - heardAt < ASK_ANYWAY_AFTER_MS;
  const isDue = Date.now() - askedAt >= (isPayment() || !offline.hidden ? ASK_EVERY_MS : ASK_TILL_EVERY_MS);
  if (isDue && (!streams || left() <= 0 || !offline.hidden)) ask();
  if (stream?.readyState === CLOSED) listen();
}, ASK_EVERY_MS);

begin();
listen();
if (!navigator.onLine) connected(false);
if (main.dataset.notice === "unreachable") failed("sending", true);
