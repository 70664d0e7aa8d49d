// Draws the charts, switches between them, sorts tables. All without a request.
"use strict";

const specs = JSON.parse(document.getElementById("charts").textContent);

function draw(place) {
  if (place.dataset.drawn) return;
  place.dataset.drawn = "yes";
  vegaEmbed(place, specs[place.dataset.chart], { actions: false, renderer: "svg", tooltip: { theme: "report" } })
    .catch((error) => console.error(place.dataset.chart, error));
}

function drawAll(within) {
  within.querySelectorAll(".chart").forEach((place) => {
    if (!place.closest("[hidden]")) draw(place);
  });
}

// One panel of each switch is shown; a chart is drawn once it has a width.
for (const choice of document.querySelectorAll("[data-switch]")) {
  const show = () => {
    const chosen = choice.querySelector("input:checked").value;
    for (const input of choice.querySelectorAll("input")) {
      const panel = document.querySelector(`[data-panel="${input.value}"]`);
      panel.hidden = input.value !== chosen;
      if (!panel.hidden) drawAll(panel);
    }
  };
  choice.addEventListener("change", show);
  show();
}
drawAll(document);

// Columns of numbers have their values in the cells; a second click turns the order around.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const numbers = heading.classList.contains("n");
      const compare = (a, b) => (numbers ? key(a) - key(b) : key(a).localeCompare(key(b), "en", { numeric: true }));
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? compare(b, a) : compare(a, b)));
      table.tBodies[0].append(...rows);
    });
  });
}

// Paper has no switches: what is folded is printed open.
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
});
