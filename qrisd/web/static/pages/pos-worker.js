// Keeps the till's own files at hand, so that it starts quickly on a slow network, and the page that says that there is no
// connection. Nothing else: no page of the till and no answer about money is ever kept, for an old one would be a lie.

const KEPT = "qrisd-files";
const OFFLINE = "qrisd-offline"; // the page and the files it names, renewed together
const OFFLINE_PAGE = `${self.registration.scope}/offline`;

self.addEventListener("install", (event) => event.waitUntil(keepOffline().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  // An address with a version has the same content for ever.
  const isFile = url.origin === location.origin && /\/static\/[^/]+$/.test(url.pathname) && url.searchParams.has("v");
  if (request.method !== "GET") return;
  if (isFile) event.respondWith(kept(request, url));
  else if (request.mode === "navigate" && self.registration.navigationPreload) event.respondWith(page(event));
});

async function keepOffline() {
  const text = await (await fetch(OFFLINE_PAGE, { cache: "no-store" })).text();
  const named = [...text.matchAll(/"([^"]*\/static\/[^"]+)"/g)].map(([, address]) => new URL(address, OFFLINE_PAGE).href);
  const wanted = [OFFLINE_PAGE, ...new Set(named)];
  const cache = await caches.open(OFFLINE);
  await cache.addAll(wanted);
  for (const old of await cache.keys()) if (!wanted.includes(old.url)) await cache.delete(old);
}

async function takeOver() {
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

async function page(event) {
  try {
    // The browser's own request: one that a worker makes looks to the server like a script's, which is told no more than
    // 401 when nobody is signed in.
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return (await caches.match(OFFLINE_PAGE)) ?? Response.error();
  }
}

async function kept(request, url) {
  const found = await caches.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) {
    const cache = await caches.open(KEPT);
    for (const old of await cache.keys()) if (new URL(old.url).pathname === url.pathname) await cache.delete(old);
    await cache.put(request, answer.clone());
  }
  return answer;
}
