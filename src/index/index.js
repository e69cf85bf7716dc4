"use strict";
const rows = [...document.querySelectorAll("tbody tr")].map((row) => ({ row, text: null }));
/** What stands in a row, which nobody needs to know of thousands until words are looked for. */
const textOf = (entry) => (entry.text ??= [...entry.row.children].map((cell) => cell.textContent).join("\n").toLowerCase());
const [find, verdict, count] = ["find", "verdict", "count"].map((id) => document.getElementById(id));
const more = document.getElementById("more");
const compare = document.getElementById("compare");

let atOnce = Number(more?.dataset.atOnce);

/** Shows the rows that have all the words, and the verdict: the first of them, until all are asked for. */
function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const entry of rows) {
    const { row } = entry;
    const fits = words.every((word) => textOf(entry).includes(word)) && (!verdict.value || row.className === verdict.value);
    found += fits;
    row.hidden = !fits || found > atOnce;
  }
  count.textContent = found === rows.length ? `${found} runs` : `${found} of ${rows.length} runs`;
  if (more) {
    more.hidden = found <= atOnce;
    more.textContent = `Show all ${found}, and not the first ${atOnce} only`;
  }
}

/** Sorts by a column, and the other way round when it is asked for again. */
function sort(button) {
  const heading = button.parentElement;
  const column = [...heading.parentElement.children].indexOf(heading);
  const down = heading.getAttribute("aria-sort") === "ascending";
  const value = ({ row }) => row.children[column].textContent.trim();
  const order = button.dataset.sort === "number" ? (a, b) => value(a) - value(b) : (a, b) => value(a).localeCompare(value(b));
  rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
  for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  document.querySelector("tbody")?.append(...rows.map(({ row }) => row));
  filter();
}

/** Two can be compared, no more and no fewer. */
function choose() {
  if (compare) compare.disabled = document.querySelectorAll("input[name=run]:checked").length !== 2;
}

find.addEventListener("input", filter);
verdict.addEventListener("change", filter);
document.addEventListener("change", choose);
more?.addEventListener("click", () => { atOnce = Infinity; filter(); });
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sort(button));
// The keys of a search field are not a wish to compare.
find.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
filter();
choose();
