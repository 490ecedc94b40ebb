// The amount: typed on the keys of the page, or on a keyboard wherever the focus is.

const MOST_DIGITS = 10;

const field = () => document.getElementById("amount");
const digits = () => field().value.replace(/\D/g, "").replace(/^0+/, "");

/** Make the keys of a page that has just been shown work. */
export function begin() {
  const keys = document.querySelector(".keys");
  if (!keys) return;
  keys.hidden = false;
  field().inputMode = "none"; // the page's keys are larger than the phone's
  put(digits());
}

export function clear() {
  if (field()) put("");
}

function put(text) {
  field().value = text.slice(0, MOST_DIGITS).replace(/\B(?=(\d{3})+$)/g, ".");
}

function press(key) {
  put(key === "back" ? digits().slice(0, -1) : `${digits()}${key}`.replace(/^0+/, ""));
}

document.addEventListener("click", (event) => {
  const key = event.target.closest("[data-key]");
  if (key) press(key.dataset.key);
});
document.addEventListener("input", (event) => {
  if (event.target === field()) put(digits());
});
document.addEventListener("keydown", (event) => {
  if (!field() || event.ctrlKey || event.metaKey || event.altKey) return;
  const isElsewhere = event.target.matches("input, select, textarea") && event.target !== field();
  if (event.key === "Escape" && !isElsewhere) clear();
  if (event.target === field() || isElsewhere) return;
  if (/^\d$/.test(event.key)) press(event.key);
  else if (event.key === "Backspace") press("back");
  else if (event.key === "Enter" && event.target === document.body) field().form.requestSubmit();
});
