// Keeps the till's own files at hand, so that it starts quickly on a slow network. Nothing else: no page and no answer
// about money is ever kept, for an old one would be a lie.

const KEPT = "qrisd-files";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  // An address with a version has the same content for ever.
  const isFile = url.origin === location.origin && /\/static\/[^/]+$/.test(url.pathname) && url.searchParams.has("v");
  if (isFile && event.request.method === "GET") event.respondWith(kept(event.request, url));
});

async function kept(request, url) {
  const cache = await caches.open(KEPT);
  const found = await cache.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) {
    for (const old of await cache.keys()) if (new URL(old.url).pathname === url.pathname) await cache.delete(old);
    await cache.put(request, answer.clone());
  }
  return answer;
}
