// Has the browser keep what the till needs when the server cannot be reached: see pos-worker.js.

const { worker, scope } = document.getElementById("offline").dataset;
navigator.serviceWorker?.register(worker, { scope }).catch(() => {});
