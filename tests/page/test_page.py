# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader does with the page, in a real browser."""

from __future__ import annotations

import pytest

from ansible_collections.nettriage.linux.tests.page.browser import Browser
from ansible_collections.nettriage.linux.tests.page.fleets import FLEETS, HOSTILE, Page

HOSTS = "[...document.querySelectorAll('details.host:not(.hide) h3')].map((name) => name.textContent)"
CAUSES = "[...document.querySelectorAll('details.cause:not(.hide) h3')].map((name) => name.textContent)"
SHOWN = "document.getElementById('shown').textContent"
FOCUS = "document.activeElement.textContent || document.activeElement.id"


@pytest.mark.parametrize("name", FLEETS)
def test_nothing_leaves_the_page_and_nothing_fails(browser: Browser, page: Page, name: str) -> None:
    browser.open(page(name))
    browser.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    browser.until("document.querySelector('details.host:last-of-type').dataset.made")
    assert browser.requests == [f"file://{page(name)}"]
    assert browser.complaints == []


def test_the_policy_lets_nothing_out(browser: Browser, page: Page) -> None:
    """Whatever got into the page in spite of everything could not tell anybody."""
    browser.open(page("one"))
    blocked = browser.run(
        """new Promise((resolve) => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", (event) => {
            seen.push(event.effectiveDirective);
            if (seen.length === 3) resolve(seen.sort());
          });
          document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/" }));
          fetch("http://127.0.0.1:9/").catch(() => {});
          const script = document.createElement("script");
          script.textContent = "document.title = 'broken'";
          document.body.append(script);
        })"""
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem"]
    assert "broken" not in browser.run("document.title")


def test_names_of_hosts_stay_text(browser: Browser, page: Page) -> None:
    browser.open(page("hostile"))
    browser.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    browser.until("[...document.querySelectorAll('details.host')].every((box) => box.dataset.made)")
    assert browser.run("document.querySelectorAll('script').length") == 2
    assert browser.run("document.querySelectorAll('img, iframe, object, [onerror], [onfocus], [style]').length") == 0
    assert "broken" not in browser.run("document.title")
    shown = browser.run("document.body.innerText")
    assert HOSTILE[0] in shown and HOSTILE[1] in shown and r"gnp.\u202eexe\u2066" in shown
    assert not set(shown) & set("\u202e\u2066\x1b")


def test_search_finds_what_is_seen_on_a_host(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.key("/", "/")
    assert browser.run(FOCUS) == "words"
    browser.type("web0005 BACKEND")
    browser.until(f"{SHOWN} === '1 of 6 hosts'")
    assert browser.run(HOSTS) == ["web0005.prod.example.net"]
    assert "Accept queue (tcp)" not in browser.run(CAUSES)
    browser.run("document.getElementById('clear').click()")
    browser.until(f"{SHOWN} === '6 of 6 hosts'")


def test_a_search_without_result_says_so(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.run("document.getElementById('words').focus()")
    browser.type("nowhere")
    browser.until(f"{SHOWN} === '0 of 6 hosts'")
    assert browser.run(CAUSES) == [] and not browser.run("document.getElementById('nothing').hidden")


@pytest.mark.parametrize(
    ("field", "value", "hosts"),
    [("severity", "critical", 2), ("layer", "1/2", 2), ("group", "web", 2), ("severity", "ok", 4)],
)
def test_filters_keep_what_fits(browser: Browser, page: Page, field: str, value: str, hosts: int) -> None:
    browser.open(page("six"))
    browser.run(
        f"""{{
          const field = document.getElementById({field!r});
          field.value = [...field.options].find((option) => option.textContent === {value!r}).value;
          field.dispatchEvent(new Event("input", {{ bubbles: true }}));
        }}"""
    )
    browser.until(f"{SHOWN} === '{hosts} of 6 hosts'")
    assert len(browser.run(HOSTS)) == hosts


def test_a_cell_of_the_map_leads_to_the_findings_behind_it(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.run("document.querySelector('tr[data-host=\"1\"] td.warning a').click()")
    assert browser.run(CAUSES) == ["Link down (nic)"]
    assert browser.run("document.getElementById('only').textContent").startswith("Only ")
    assert browser.run(HOSTS) == [browser.run("DATA.hosts[1].name")]
    browser.run("document.getElementById('only').click()")
    assert len(browser.run(HOSTS)) == 2


def test_groups_and_tiles_filter(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.run("[...document.querySelectorAll('tr.group a')].find((link) => link.textContent === 'queue').click()")
    assert browser.run(HOSTS) == ["queue0002.prod.example.net"]
    browser.open(page("six"))
    browser.run("document.querySelector('.tiles a[data-severity=critical]').click()")
    assert len(browser.run(HOSTS)) == 2


def test_everything_works_from_the_keyboard(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.key("Tab")
    assert browser.run(FOCUS) == "Skip to the findings"
    stops = []
    while "Hosts: how many" not in browser.run("document.activeElement.closest('table')?.caption?.textContent ?? ''"):
        browser.key("Tab")
        stops.append(browser.run(FOCUS))
        assert len(stops) < 60
    first, second = browser.run("DATA.hosts.slice(0, 2).map((host) => host.name)")
    assert browser.run(FOCUS) == "Layer 1/2" or browser.run(FOCUS) == first
    browser.run("document.querySelector('tr[data-host=\"0\"] th a').focus()")
    browser.key("ArrowDown")
    assert browser.run(FOCUS) == second
    browser.key("ArrowRight")
    assert browser.run(FOCUS).endswith("warning")
    browser.key("ArrowLeft")
    browser.key("Enter", "\r")
    browser.until("document.getElementById('h1').open")
    assert browser.run("document.activeElement === document.querySelector('#h1 summary')")
    assert browser.run("document.querySelectorAll('#h1 table').length") > 4


def test_a_host_tells_which_settings_are_unlike_the_others_and_who_sets_them(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.run("location.hash = '#h0'")
    browser.until("document.querySelectorAll('#h0 table').length > 4")
    rows = "[...document.querySelectorAll('#h0 tbody tr')].map((row) => row.innerText.replace(/\\s+/g, ' ').trim())"
    told = browser.run(rows)
    assert "net.core.somaxconn 128 4096" in told
    where = "/etc/tuned/throughput/tuned.conf:12"
    assert f"net.core.somaxconn 4096 128 tuned {where} at boot" in told


def test_each_command_can_be_copied(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.run("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    browser.run("document.querySelector('.found .copy').click()")
    browser.until("document.querySelector('.found .copy').textContent === 'Copied'")
    assert browser.run("window.copied") == browser.run("document.querySelector('.found code').textContent")


def test_without_a_clipboard_the_command_is_selected_at_least(browser: Browser, page: Page) -> None:
    """As on a page that came by plain http."""
    browser.open(page("six"))
    browser.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    browser.run("document.querySelector('.found .copy').click()")
    browser.until("document.querySelector('.found .copy').textContent !== 'Copy'")
    assert browser.run("String(getSelection())") == browser.run("document.querySelector('.found code').textContent")


def test_a_link_to_a_host_opens_it_whatever_the_filter_hides(browser: Browser, page: Page) -> None:
    browser.open(page("six"))
    browser.run("choose({ severity: 'critical' })")
    browser.run("location.hash = '#h5'")
    browser.until("document.getElementById('h5').open && !document.getElementById('h5').classList.contains('hide')")


def test_two_thousand_hosts_can_be_searched(browser: Browser, page: Page) -> None:
    browser.open(page("large"))
    assert browser.run(SHOWN) == "2000 of 2000 hosts"
    assert not browser.run("document.getElementById('fine').open")
    browser.run("document.getElementById('words').focus()")
    browser.type("edge1989")
    browser.until(f"{SHOWN} === '1 of 2000 hosts'")
    rows = "[...document.querySelectorAll('#fine tbody tr:not(.hide) a')].map((link) => link.textContent)"
    assert browser.run(rows) == ["edge1989.prod.example.net"] and browser.run("document.getElementById('fine').open")
    browser.run("location.hash = '#h' + DATA.hosts.findIndex((host) => host.name.startsWith('edge1989'))")
    browser.until("document.querySelector('details.host[open]:not(.hide) table') !== null")


@pytest.mark.parametrize("name", FLEETS)
def test_a_narrow_window_needs_no_scrolling_sideways(browser: Browser, page: Page, name: str) -> None:
    browser.open(page(name), width=390)
    assert browser.run("document.documentElement.scrollWidth") <= 390


def test_paper_gets_all_of_a_small_fleet(browser: Browser, page: Page) -> None:
    browser.open(page("six"), media="print")
    assert browser.run("getComputedStyle(document.getElementById('filter')).display") == "none"
    assert browser.paper().startswith(b"%PDF")
    assert browser.run("[...document.querySelectorAll('details.host')].every((box) => box.dataset.made && !box.open)")


def test_the_top_can_be_read_without_scripts(browser: Browser, page: Page) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page("six"))
        shown = browser.run("document.body.innerText")
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
    for text in (
        "Traffic suffers now on 2 of 6 hosts.",
        "Begin here",
        "Hosts and layers",
        "What is wrong",
        "report.json",
    ):
        assert text in shown
    assert "Search" not in shown
