// For the pages of the till that ask the server nothing by themselves: says when it cannot be reached, and has no form
// sent meanwhile, for what was typed into it would be lost.

const ASK_EVERY_MS = 6000;
const offline = document.getElementById("offline");

function connected(isConnected) {
  if (offline.hidden === isConnected) return;
  offline.setAttribute("role", "alert");
  offline.hidden = isConnected;
  for (const button of document.querySelectorAll("main form button")) button.disabled = !isConnected;
}

async function ask() {
  if (!navigator.onLine) return connected(false);
  try {
    await fetch(offline.dataset.asked, { cache: "no-store", signal: AbortSignal.timeout(ASK_EVERY_MS) });
    connected(true);
  } catch {
    connected(false);
  }
}

addEventListener("online", ask);
addEventListener("offline", () => connected(false));
addEventListener("pageshow", (event) => event.persisted && ask());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && ask());
setInterval(() => document.visibilityState === "visible" && ask(), ASK_EVERY_MS);
if (!navigator.onLine) connected(false);
