// SPDX-FileCopyrightText: nettriage maintainers
// SPDX-License-Identifier: GPL-3.0-or-later
// Shows only what fits the words, severity, layer, group and host that were chosen.
const get = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const show = (element, yes) => element.classList.toggle("hide", !yes);
const FIELDS = { words: get("words"), severity: get("severity"), layer: get("layer"), group: get("group") };
const lower = (element) => element.textContent.toLowerCase();
// Made at the first search, since most readers do not search.
const once = (make) => { let value; return () => (value ??= make()); };

const CAUSES = all("details.cause").map((box) => ({
  box,
  layer: box.dataset.layer,
  variants: all(".variant", box).map((part) => {
    const said = once(() => `${lower(box.querySelector("summary"))} ${lower(part.querySelector(".said"))}`);
    const rows = all("tbody tr", part).map((line) => ({
      line, host: Number(line.dataset.host), severity: line.dataset.severity, text: once(() => `${said()} ${lower(line)}`),
    }));
    return { part, rows };
  }),
}));
const HOSTS = DATA.hosts.map((host, number) => ({
  host,
  number,
  shown: [get(`h${number}`), document.querySelector(`tr[data-host="${number}"]`)].filter(Boolean),
  text: once(() => JSON.stringify(host).toLowerCase() + host.groups.map((each) => DATA.groups[each]).join(" ").toLowerCase()),
}));
// Rows about some hosts that are told of in other tables.
const OTHERS = all("tr[data-hosts]").map((line) => ({
  line, hosts: line.dataset.hosts.split(" ").filter(Boolean).map(Number), text: once(() => lower(line)),
}));
let only = null; // the number of the one host that a cell of the map stands for

function chosen() {
  const value = (field) => (field ? field.value : "");
  return {
    words: FIELDS.words.value.toLowerCase().split(/\s+/).filter(Boolean),
    severity: value(FIELDS.severity), layer: value(FIELDS.layer), group: value(FIELDS.group),
  };
}

function filter() {
  const { words, severity, layer, group } = chosen();
  const said = (text) => words.every((word) => text().includes(word));
  const member = (number) => (only === null || only === number)
    && (!group || (number in DATA.hosts && DATA.hosts[number].groups.includes(Number(group))));
  let rows = 0, hosts = 0;
  for (const cause of CAUSES) {
    let left = 0;
    for (const variant of cause.variants) {
      let here = 0;
      for (const { line, host, severity: own, text } of variant.rows) {
        const yes = (!severity || own === severity) && (!layer || cause.layer === layer) && member(host) && said(text);
        show(line, yes);
        here += yes;
      }
      show(variant.part, here > 0);
      left += here;
    }
    show(cause.box, left > 0);
    rows += left;
  }
  for (const { host, number, shown, text } of HOSTS) {
    const fits = host.findings.some(([own, where]) => (!severity || own === severity) && (!layer || where === layer));
    const yes = (fits || (!layer && (!severity || host.verdict === severity))) && member(number) && said(text);
    for (const element of shown) show(element, yes);
    hosts += yes;
  }
  for (const { line, hosts: about, text } of OTHERS) {
    const { severity: own = severity, layer: where = layer } = line.dataset;
    show(line, (!severity || own === severity) && (!layer || where === layer) && said(text)
      && ((only === null && !group) || about.some(member)));
  }
  const active = words.length || severity || layer || group || only !== null;
  // In a large fleet those without findings stand apart, and a search has to find them, too.
  if (get("fine")) get("fine").open = Boolean(active);
  get("nothing").hidden = rows > 0 || !CAUSES.length;
  get("clear").hidden = !active;
  get("only").hidden = only === null;
  get("only").textContent = only === null ? "" : `Only ${DATA.hosts[only].name} ✕`;
  get("shown").textContent = `${hosts} of ${HOSTS.length} ${HOSTS.length === 1 ? "host" : "hosts"}`;
}

// Sets what is named and leaves the rest as it is.
function choose(values) {
  for (const [name, value] of Object.entries(values)) {
    if (name === "host") only = value;
    else if (FIELDS[name]) FIELDS[name].value = value;
  }
  filter();
}
