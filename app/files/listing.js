"use strict";
// Filters the rows of this page while somebody types; Enter asks the server, for all pages.
(() => {
  const field = document.querySelector("input[type=search]");
  const status = document.querySelector("[role=status]");
  const rows = [...document.querySelectorAll("tbody tr:not(.up)")];
  const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    let shown = 0;
    rows.forEach((row, number) => {
      row.hidden = !names[number].includes(wanted);
      shown += row.hidden ? 0 : 1;
    });
    const isPart = field.defaultValue !== "" || document.querySelector("nav") !== null;
    status.textContent = `${shown} of the ${rows.length} entries on this page.`
      + (isPart ? " Enter looks at all entries." : "");
  });
})();
