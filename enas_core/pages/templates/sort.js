// A click on a column's name sorts the table by it, a second one the other way round. Empty values are last.
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const th = button.parentElement, table = th.closest("table"), body = table.tBodies[0];
  const down = th.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[th.cellIndex].dataset.value;
  const compare = (a, b) => a === b ? 0 : a === "" ? 1 : b === "" ? -1
    : (down ? -1 : 1) * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
};
