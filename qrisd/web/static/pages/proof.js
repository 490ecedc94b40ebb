// Enter checks, as in a field of one line; what is pasted keeps its lines.

const form = document.querySelector("form[data-asking]");
const field = form.querySelector("textarea");
const button = form.querySelector("button");
const words = button.textContent;

field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
field.addEventListener("focus", () => field.select());
form.addEventListener("submit", (event) => {
  if (button.getAttribute("aria-disabled") === "true") {
    event.preventDefault();
    return;
  }
  button.setAttribute("aria-disabled", "true");
  button.textContent = form.dataset.asking;
});
addEventListener("pageshow", () => {
  button.removeAttribute("aria-disabled");
  button.textContent = words;
});

document.querySelector(".verdict")?.focus();
