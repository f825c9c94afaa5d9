"""The certificate's page in a real browser: opened, filtered, followed, by keys, in the dark, on a phone, on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, requested, until
from page_sample import HOSTILE, REPLAY, outage, sample
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hardening.certificate.reports.html import render_html

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "certificate.html"
    certificate, histories = sample()
    path.write_text(render_html(certificate, {**histories, "more": outage(requests=900)}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser: Chrome, address: str) -> Iterator[Chrome]:
    """The page, newly opened; whatever a test does with it, nothing may be loaded and nothing may go wrong in it."""
    browser.get("about:blank")
    browser.get_log("browser")
    requested(browser)
    browser.get(address)
    browser.execute_script("localStorage.clear()")
    yield browser
    assert {url.partition("#")[0] for url in requested(browser) if not url.startswith("data:")} <= {address}
    assert browser.get_log("browser") == []


def shown(page: Chrome) -> list[str]:
    """Ids of the claims that are to be seen."""
    script = (
        "return [...document.querySelectorAll('tr.claim')].filter(r => r.checkVisibility()).map(r => r.id.slice(6))"
    )
    return list(page.execute_script(script))


def status(page: Chrome) -> str:
    return page.find_element(By.ID, "shown").text


def click(page: Chrome, by: str, what: str) -> None:
    """Click in the middle of the window, where the bar at the top covers nothing."""
    element = page.find_element(by, what)
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def check(page: Chrome, standing: str) -> None:
    click(page, By.CSS_SELECTOR, f"input[value={standing}]")


def focus(page: Chrome) -> str:
    script = "const a = document.activeElement; return a.id || (a.textContent || '').trim()"
    return str(page.execute_script(script))


def test_it_opens_with_its_result_and_asks_for_nothing_else(page: Chrome) -> None:
    assert "FAILED" in page.find_element(By.TAG_NAME, "h1").text
    assert "FAILED" in page.title
    assert status(page) == "37 of 37 claims shown."


def test_a_blocked_load_would_be_seen(browser: Chrome, tmp_path: Path) -> None:
    """The check of every test here is able to fail: a page that loads something is noticed twice."""
    path = tmp_path / "loads.html"
    text = render_html(*sample()).replace(
        '<main id="main"', '<img alt="" src="http://127.0.0.1:9/x.png"><main id="main"'
    )
    path.write_text(text, encoding="utf-8")
    browser.get_log("browser")
    browser.get(path.as_uri())
    until(browser, lambda found: any("Content Security Policy" in line["message"] for line in found.get_log("browser")))


def test_filters_by_standing_component_and_text_and_the_link_keeps_them(page: Chrome, address: str) -> None:
    check(page, "failed")
    assert shown(page) == ["C2.2"]
    assert status(page) == "1 of 37 claims shown."
    check(page, "passed")
    assert shown(page) == ["C1.1", "C1.2", "C2.2"]
    page.find_element(By.NAME, "q").send_keys("SANE settings")
    assert shown(page) == ["C1.1"]
    assert page.current_url == f"{address}#verdict=failed,passed&q=SANE%20settings"
    link = page.current_url
    page.get("about:blank")
    page.get(link)
    assert shown(page) == ["C1.1"]
    click(page, By.CSS_SELECTOR, "#filters button[type=reset]")
    until(page, lambda found: len(shown(found)) == 37)
    assert page.current_url == f"{address}#claims"
    page.execute_script("location.hash = '#component=C5'")
    until(page, lambda found: len(shown(found)) == 6)


def test_a_filter_without_a_match_says_so(page: Chrome) -> None:
    page.find_element(By.NAME, "q").send_keys("nothing holds this")
    assert shown(page) == []
    assert status(page).startswith("0 of 37 claims shown. Clear the filter")


def test_a_tile_of_the_banner_filters(page: Chrome) -> None:
    click(page, By.CSS_SELECTOR, "a.tile.unknown")
    until(page, lambda found: shown(found) == ["C5.1"])


def test_a_failure_unfolds_to_its_evidence_and_its_replay_line_is_copied(page: Chrome) -> None:
    story = page.find_element(By.ID, "story-C2.2")
    summary = story.find_element(By.TAG_NAME, "summary")
    summary.click()
    assert story.get_attribute("open") is None
    summary.click()
    assert "state/admitted" in story.text
    lanes = story.find_element(By.TAG_NAME, "img")
    assert page.execute_script("return arguments[0].naturalWidth", lanes) == 300
    button = story.find_element(By.CSS_SELECTOR, "button.copy")
    assert button.get_attribute("aria-label") == f"Copy: {REPLAY}"
    button.click()
    until(page, lambda found: found.find_element(By.ID, "said").get_attribute("textContent") == f"Copied: {REPLAY}")


def test_a_link_opens_what_it_points_into_even_from_behind_a_filter(page: Chrome) -> None:
    page.execute_script("document.querySelectorAll('#timelines > details').forEach(d => d.open = false)")
    click(page, By.LINK_TEXT, "Its timeline")
    until(page, lambda found: found.find_element(By.ID, "history-burst").get_attribute("open"))
    assert focus(page).startswith("burst")
    check(page, "unknown")
    click(page, By.LINK_TEXT, "Its row in the claims")
    until(page, lambda found: "C2.2" in shown(found))
    assert focus(page) == "claim-C2.2"


def test_it_is_driven_by_keys_alone(page: Chrome) -> None:
    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    press(Keys.TAB)
    assert focus(page) == "Skip to the result"
    assert page.find_element(By.CLASS_NAME, "skip").location["x"] >= 0
    press(Keys.ENTER)
    until(page, lambda found: focus(found) == "main")
    page.execute_script("document.querySelector('input[value=failed]').focus()")
    press(Keys.SPACE)
    assert shown(page) == ["C2.2"]
    for _ in range(6):
        press(Keys.TAB)
    press("C2")
    assert page.execute_script("return document.activeElement.value") == "C2"
    page.execute_script("document.querySelector('#story-C2\\\\.2 > summary').focus()")
    press(Keys.ENTER)
    assert page.find_element(By.ID, "story-C2.2").get_attribute("open") is None
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_every_control_is_reached_by_tab_in_the_order_of_the_page(page: Chrome) -> None:
    script = """
      const all = [...document.querySelectorAll('a[href], button, input, select, summary')];
      return all.filter(e => e.checkVisibility() && e.tabIndex < 0).map(e => e.outerHTML)"""
    assert page.execute_script(script) == []
    assert page.execute_script("return [...document.querySelectorAll('[tabindex]')].every(e => e.tabIndex <= 0)")


def test_dark_and_light_change_at_a_press_and_are_remembered(page: Chrome, address: str) -> None:
    def ground() -> Any:
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    button = page.find_element(By.ID, "theme")
    first, pressed = ground(), button.get_attribute("aria-pressed")
    button.click()
    assert ground() != first
    assert button.get_attribute("aria-pressed") != pressed
    changed = ground()
    page.get(address)
    page.refresh()
    assert ground() == changed
    page.find_element(By.ID, "theme").click()
    assert ground() == first


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_nothing_makes_the_page_scroll_sideways(page: Chrome, width: int) -> None:
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 700}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        wide = page.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide[0] <= wide[1]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_headings_descend_one_by_one_and_landmarks_are_there(page: Chrome) -> None:
    script = "return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    levels = page.execute_script(script)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("header", "nav", "main", "footer", "form[role=search]"):
        assert len(page.find_elements(By.CSS_SELECTOR, landmark)) == 1
    assert page.execute_script("return [...document.querySelectorAll('table')].every(t => t.caption)")
    assert page.execute_script("return [...document.querySelectorAll('th')].every(t => t.scope)")


def test_paper_unfolds_everything_and_folds_it_again(page: Chrome) -> None:
    script = "return document.querySelectorAll('details:not([open])').length"
    closed = page.execute_script(script)
    page.execute_script("window.left = -1; addEventListener('beforeprint', () => { window.left = " + script[7:] + " })")
    pdf = base64.b64decode(page.print_page())
    assert pdf.startswith(b"%PDF-")
    assert closed > 0
    assert page.execute_script("return window.left") == 0
    assert page.execute_script(script) == closed


def test_hostile_text_neither_runs_nor_loads(browser: Chrome, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(render_html(*sample(HOSTILE)), encoding="utf-8")
    browser.get_log("browser")
    requested(browser)
    browser.get(path.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert "owned" not in browser.title
    assert HOSTILE in browser.find_element(By.ID, "failures").text
    assert {url for url in requested(browser) if not url.startswith("data:")} == {path.as_uri()}
    assert browser.get_log("browser") == []
