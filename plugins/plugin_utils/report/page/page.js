// SPDX-FileCopyrightText: nettriage maintainers
// SPDX-License-Identifier: GPL-3.0-or-later
// What happens on clicks and keys.

// A place that is linked to opens, also where the filter hides it.
function reveal() {
  const target = location.hash.length > 1 && get(location.hash.slice(1));
  if (!target || target.tagName !== "DETAILS") return;
  if (target.classList.contains("host")) fill(target);
  target.open = true;
  show(target, true);
  for (const hidden of all(".hide", target)) show(hidden, true);
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}

// Links of the map and of the tiles choose before they lead to the findings.
function follow(link) {
  const line = link.closest("tr"), { severity, layer } = link.dataset;
  if (severity) choose({ severity });
  else if (layer) choose({ layer });
  else if (line && line.dataset.group) choose({ group: line.dataset.group, layer: layerOf(link) });
  else if (line && line.dataset.host && line.closest(".grid")) choose({ host: Number(line.dataset.host), layer: layerOf(link) });
}

function layerOf(link) {
  const head = link.closest("table").tHead.rows[0].cells[link.closest("td, th").cellIndex].querySelector("[data-layer]");
  return head ? head.dataset.layer : "";
}

// One stop for the Tab key in each grid; arrows go from link to link.
function arrows(grid) {
  const links = () => all("a", grid).filter((link) => !link.closest(".hide"));
  const stop = (link) => {
    for (const each of all("a[tabindex='0']", grid)) each.tabIndex = -1;
    link.tabIndex = 0;
  };
  for (const link of all("a", grid)) link.tabIndex = -1;
  const start = grid.querySelector("tbody a");
  if (start) start.tabIndex = 0;
  grid.addEventListener("focusin", (event) => stop(event.target));
  grid.addEventListener("keydown", (event) => {
    const from = event.target.closest("td, th"), lines = [...grid.rows].filter((line) => !line.classList.contains("hide"));
    const at = lines.indexOf(from.parentElement), column = from.cellIndex, own = all("a", from.parentElement);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    const side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    let to;
    if (step) {
      const line = lines[Math.max(0, Math.min(lines.length - 1, at + step))];
      to = line.cells[column].querySelector("a") || line.querySelector("a");
    } else if (side) to = own[own.indexOf(event.target) + side];
    else if (event.key === "Home" || event.key === "End") to = links().at(event.key === "Home" ? 0 : -1);
    else return;
    event.preventDefault();
    if (to) to.focus();
  });
}

async function copy(button) {
  const code = button.previousElementSibling;
  let done = true;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Pages that did not come by https have no clipboard: the older way takes what is selected.
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

for (const code of all(".command code")) {
  const button = make("button", { type: "button", class: "copy", "aria-label": "Copy the command" }, "Copy");
  code.after(button);
}
all(".grid").forEach(arrows);
addEventListener("toggle", (event) => {
  if (event.target.matches("details.host") && event.target.open) fill(event.target);
}, true);
addEventListener("click", (event) => {
  const link = event.target.closest("a"), button = event.target.closest(".copy");
  if (link && link.hash === "#causes") follow(link);
  else if (link && link.hash === location.hash) reveal();
  if (button) copy(button);
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select")) {
    event.preventDefault();
    FIELDS.words.focus();
  }
});
let closed = [];
addEventListener("beforeprint", () => {
  // Paper gets everything of a small fleet, and of a large one what stands open.
  closed = document.body.classList.contains("many") ? [] : all("details:not([open]):not(.hide):not(.all)");
  for (const box of closed) {
    if (box.matches(".host")) fill(box);
    box.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const box of closed) box.open = false;
});
let timer;
const form = get("filter");
form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 120); });
form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
form.addEventListener("reset", () => { only = null; setTimeout(filter); });
get("only").addEventListener("click", () => choose({ host: null }));
addEventListener("hashchange", reveal);
form.hidden = false;
all("details.host[open]").forEach(fill);
filter();
reveal();
