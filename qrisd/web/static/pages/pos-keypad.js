// The amount: typed on the keys of the page, or on a keyboard wherever the focus is.

const MOST_DIGITS = 10;

const field = () => document.getElementById("amount");
let shown = "";

/** What an amount says: "Rp 15.000,00" is 15000. */
const digits = (text) => text.replace(/,(\d{0,2}|-)\s*$/, "").replace(/\D/g, "").replace(/^0+/, "");
const isAmount = (text) => /^\s*(rp\.?)?[\s\d.,-]*$/i.test(text);

/** Make the keys of a page that has just been shown work. */
export function begin() {
  const keys = document.querySelector(".keys");
  if (!keys) return;
  keys.hidden = false;
  field().inputMode = "none"; // the page's keys are larger than the phone's
  shown = field().value;
  put(digits(shown));
}

export function clear() {
  if (field()) put("");
}

/** What would not fit is left out whole: the half of it would be another amount. */
function put(text) {
  if (text.length <= MOST_DIGITS || text.length < digits(shown).length) shown = text.replace(/\B(?=(\d{3})+$)/g, ".");
  field().value = shown;
}

function press(key) {
  const typed = digits(field().value);
  put(key === "back" ? typed.slice(0, -1) : digits(`${typed}${key}`));
}

document.addEventListener("click", (event) => {
  const key = event.target.closest("[data-key]");
  if (key) press(key.dataset.key);
});
document.addEventListener("input", (event) => {
  if (event.target === field()) put(digits(isAmount(field().value) ? field().value : shown));
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
