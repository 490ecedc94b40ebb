// This page stands at the address of one that could not be loaded: it goes on to that one as soon as the server answers.

const TRY_EVERY_MS = 4000;
const PATIENCE_MS = 10000;
const { home, own } = document.querySelector("main").dataset;
const tried = document.getElementById("tried");
const isAtHome = location.pathname === own; // nothing failed: somebody opened this page itself
const wanted = isAtHome ? home : location.href;
let isTrying = false;
let isPressed = false;

async function tryAgain() {
  if (isTrying) return;
  isTrying = true; // and remains so while the page that is wanted is on its way
  const status = await ask();
  // A server behind a proxy that says 502 is not back; who presses the button is shown what there is.
  if (status && (status < 500 || isPressed)) return isAtHome ? location.replace(home) : location.reload();
  if (isPressed) say();
  isTrying = isPressed = false;
}

/** The status that the server answers with; 0 when it does not. */
async function ask() {
  if (!navigator.onLine) return 0;
  const options = { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  return fetch(wanted, options).then((answer) => answer.status, () => 0);
}

function say() {
  tried.querySelector("time").textContent = new Date().toLocaleTimeString("id-ID");
  tried.hidden = false;
}

document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  isPressed = true;
  tryAgain();
});
if (!isAtHome) {
  addEventListener("online", tryAgain);
  setInterval(tryAgain, TRY_EVERY_MS);
}
