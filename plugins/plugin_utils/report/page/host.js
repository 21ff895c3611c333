// SPDX-FileCopyrightText: nettriage maintainers
// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
// What is shown of one host, made when it is looked at. Text goes in as text only: nothing here parses HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function bar(thousandths) {
  const svg = document.getElementById("bar").content.firstElementChild.cloneNode(true);
  svg.firstElementChild.setAttribute("width", thousandths);
  return svg;
}

function row(cells) {
  const [first, ...others] = cells.map((cell) => (Array.isArray(cell) ? [make("span", { class: "of" }, cell[0]), bar(cell[1])] : [cell]));
  return make("tr", {}, make("th", { scope: "row" }, ...first), ...others.map((cell) => make("td", {}, ...cell)));
}

// Columns that say nothing in any row are left out.
function table(caption, names, lines) {
  const told = names.map((__, at) => at === 0 || lines.some((cells) => cells[at] !== ""));
  const heads = names.filter((__, at) => told[at]), rows = lines.map((cells) => cells.filter((__, at) => told[at]));
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const made = make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...rows.map(row)));
  return make("div", { class: heads.length > 3 ? "wide full" : "wide", tabindex: 0, role: "group", "aria-label": caption }, made);
}

function findings(host) {
  const list = make("ul", { class: "findings" });
  for (const [severity, layer, cause, title] of host.findings) {
    list.append(make("li", {}, make("b", { class: `b ${severity}` }, severity), " ", make("a", { href: `#c${cause}` }, title),
      make("span", { class: "n" }, ` layer ${layer}`)));
  }
  if (host.more) list.append(make("li", { class: "n" }, `${host.more} more are in report.json.`));
  return list;
}

// Of its settings first those that are unlike the rest of the fleet.
function settings(host) {
  const own = host.own, several = DATA.hosts.length > 1;
  const here = (key, usual) => (key in own ? own[key] : usual);
  const rows = DATA.settings.map(([name, usual], key) => [name, here(key, usual), usual, key in own])
    .filter(([, value]) => value !== null);
  const parts = [];
  const unlike = rows.filter((each) => each[3]).map((each) => each.slice(0, 3));
  if (unlike.length) parts.push(table("Settings unlike most of the fleet", ["Setting", "Here", "Usual"], unlike));
  if (rows.length) {
    const all = table("All settings", several ? ["Setting", "Here", "Usual"] : ["Setting", "Value"],
      rows.map((each) => each.slice(0, several ? 3 : 2)));
    parts.push(make("details", { class: "all" }, make("summary", {}, `All ${rows.length} settings`), all));
  }
  return parts;
}

function fill(box) {
  if (box.dataset.made) return;
  box.dataset.made = "yes";
  const host = DATA.hosts[Number(box.id.slice(1))];
  if (host.groups.length) box.append(make("p", { class: "n" }, `Groups: ${host.groups.map((each) => DATA.groups[each]).join(", ")}`));
  if (host.findings.length) box.append(findings(host));
  for (const entry of host.unseen || []) box.append(make("p", { class: "unseen" }, `Not seen: ${entry}`));
  if (!host.pairs) return;
  box.append(make("dl", {}, ...host.pairs.map(([label, text]) => make("div", {}, make("dt", {}, label), make("dd", {}, text)))));
  const tables = host.tables.map(([kind, total, rows]) => {
    const [caption, ...heads] = DATA.kinds[kind];
    return table(total > rows.length ? `${caption}, ${rows.length} of ${total}` : caption, heads, rows);
  });
  box.append(make("div", { class: "tables" }, ...tables, ...settings(host)));
}
