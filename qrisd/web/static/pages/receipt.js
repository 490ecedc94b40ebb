// Prints a receipt that was just counted as printed. Whoever then prints the page once more gets a copy.

const main = document.querySelector("main");
const paper = document.querySelector(".paper");
let prints = 0;

if ("printNow" in main.dataset) {
  addEventListener("beforeprint", () => {
    prints += 1;
    if (prints === 2 && paper.dataset.copyMark) paper.querySelector("pre").prepend(`${paper.dataset.copyMark}\n`);
  });
  addEventListener("load", () => print());
}
