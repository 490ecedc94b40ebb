// What is left of a QR's time and of a mark's minute, on the server's time whatever this device's clock says.

const SOON_MS = 60000;
let ahead = 0; // how far the server's clock is ahead of this device's
let warned = false;

const now = () => Date.now() + ahead;

export function serverSays(time) {
  ahead = time - Date.now();
}

export const left = (main) => Number(main.dataset.until) - now();
export const hasOldMark = (main) => main.querySelector(".matching[hidden]") !== null;

/** Begin with what was just drawn. */
export function begin(main) {
  serverSays(Number(main.dataset.now));
  warned = left(main) < SOON_MS;
  for (const mark of main.querySelectorAll(".matching")) mark.hidden = false;
}

/** Show how time goes; true when something has just ended, so that the server must be asked. */
export function tick(main, said) {
  const [isMarkOver, isTimeOver] = [dropOldMark(main), drawLeft(main, said)];
  return isMarkOver || isTimeOver;
}

/** The colour and the word of a minute that is over are no proof: away with them, connected or not. */
function dropOldMark(main) {
  const mark = main.querySelector(".matching:not([hidden]) [data-mark-until]");
  if (!mark || Number(mark.dataset.markUntil) > now()) return false;
  mark.closest(".matching").hidden = true;
  return true;
}

function drawLeft(main, said) {
  const place = main.querySelector(".left");
  if (!place) return false;
  const seconds = Math.max(0, Math.ceil(left(main) / 1000));
  const text = written(seconds);
  if (place.textContent !== text) place.textContent = text;
  place.hidden = false;
  place.classList.toggle("soon", seconds < SOON_MS / 1000);
  if (!warned && left(main) < SOON_MS) {
    warned = true;
    said.textContent = main.dataset.soon;
  }
  if (seconds > 0 || main.classList.contains("over")) return false;
  main.classList.add("over"); // nobody should pay it any more, whether we can ask or not
  return true;
}

function written(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}
