// Copies a link for sending it on.

const link = document.getElementById("link");
const button = document.getElementById("copy");

button.addEventListener("click", async () => {
  link.select();
  try {
    await navigator.clipboard.writeText(link.value);
  } catch {
    document.execCommand("copy"); // over plain http in the shop's own network there is no other way
  }
  button.textContent = button.dataset.done;
  document.getElementById("said").textContent = button.dataset.done;
});
button.hidden = false;
