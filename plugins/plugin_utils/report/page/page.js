// SPDX-FileCopyrightText: nettriage maintainers
// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const text = (element) => element.textContent.toLowerCase();
  const show = (element, yes) => element.classList.toggle("hide", !yes);
  const form = get("filter"), words = get("words"), severity = get("severity"), layer = get("layer");

  const causes = all("details.cause").map((box) => ({
    box, layer: box.dataset.layer, head: text(box.querySelector("summary")),
    variants: all(".variant", box).map((part) => ({
      part, said: all(":scope > p, :scope > ul", part).map(text).join(" "),
      rows: all("tbody tr", part).map((row) => ({ row, severity: row.dataset.s, text: text(row) })),
    })),
  }));
  const rows = new Map(all("tr.host").map((row) => [row.dataset.of, row]));
  const hosts = all("details.host").map((box) => ({
    shown: [box, rows.get(box.id)].filter(Boolean), verdict: box.dataset.s, text: text(box),
    findings: all(".findings li", box).map((item) => [item.dataset.s, item.dataset.layer]),
  }));

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = (where) => wanted.every((word) => where.includes(word));
    for (const cause of causes) {
      let left = 0;
      for (const { part, said, rows } of cause.variants) {
        let here = 0;
        for (const { row, severity: own, text: where } of rows) {
          const yes = (!severity.value || own === severity.value) && (!layer.value || cause.layer === layer.value)
            && found(`${cause.head} ${said} ${where}`);
          show(row, yes);
          here += yes;
        }
        show(part, here > 0);
        left += here;
      }
      show(cause.box, left > 0);
    }
    let count = 0;
    for (const host of hosts) {
      const fits = host.findings.some(([own, where]) =>
        (!severity.value || own === severity.value) && (!layer.value || where === layer.value));
      const yes = (fits || (!layer.value && (!severity.value || host.verdict === severity.value))) && found(host.text);
      for (const element of host.shown) show(element, yes);
      count += yes;
    }
    get("shown").textContent = `${count} of ${hosts.length} ${hosts.length === 1 ? "host" : "hosts"}`;
  }

  function open() {
    const target = location.hash.length > 1 && get(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      show(target, true);
      target.scrollIntoView();
    }
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const box of closed) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of closed) box.open = false;
  });
  let timer;
  const soon = () => { clearTimeout(timer); timer = setTimeout(filter, 120); };
  form.addEventListener("input", soon);
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  addEventListener("hashchange", open);
  form.hidden = false;
  filter();
  open();
})();
