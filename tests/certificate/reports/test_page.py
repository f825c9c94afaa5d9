"""The certificate's page, as text: it escapes, repeats, loads nothing, puts gates first, and stays small."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from page_sample import HOSTILE, LANES, REPLAY, burst, outage, request, sample
from page_sample import header as header_of

from hardening.certificate.reports.html import render_html
from hardening.certificate.reports.page_view import STANDINGS
from hardening.certificate.reports.timeline import BUCKETS, POINTS_MAX, timeline_of
from hardening.claims.claims import CLAIMS
from hardening.history.events import History

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """The page as a browser would take it: its tags in order, its ids, and whether each tag was closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def page(text: str = "ticker") -> Page:
    return Page(render_html(*sample(text)))


def shape(found: Page) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and the names of their attributes, without what may follow from the length of a text."""
    return [(tag, tuple(attrs)) for tag, attrs in found.tags]


def test_hostile_text_changes_no_tag_and_no_attribute() -> None:
    """Wherever a run can put a text, markup in it stays text: the page has the same tags as with a harmless one."""
    assert shape(page(HOSTILE)) == shape(page("ticker"))
    assert HOSTILE in page(HOSTILE).text


def test_the_check_above_sees_markup_that_breaks_out() -> None:
    text = render_html(*sample("ticker")).replace("301 admissions ticker", f"301 admissions {HOSTILE}")
    assert shape(Page(text.replace("</script></style></svg>", ""))) != shape(page("ticker"))


@pytest.mark.parametrize("where", ["lane_svg", "path", "run_url", "scenario"])
def test_what_a_certificate_names_cannot_run(where: str) -> None:
    certificate, histories = sample()
    predicate: dict[str, Any] = certificate["predicate"]
    bad = "javascript:document.title='owned'//<script>document.title='owned'</script>"
    if where == "lane_svg":
        predicate["stories"][0]["lane_svg"] = bad
    elif where == "run_url":
        predicate["environment"]["run_url"] = bad
    else:
        predicate["histories"][0][where] = bad
    found = Page(render_html(certificate, histories))
    assert len(found.all("script")) == 1
    assert not [
        a for _, attrs in found.tags for a in attrs.values() if a and a.strip().lower().startswith("javascript:")
    ]


def test_the_same_certificate_gives_the_same_page() -> None:
    assert render_html(*sample()) == render_html(*sample())


def test_nothing_is_loaded_from_anywhere() -> None:
    found = page()
    loading = [(t, n, a[n]) for t, a in found.tags for n in ("src", "srcset", "data", "poster", "action") if n in a]
    assert all(str(value).startswith("data:") for _, _, value in loading)
    assert [a["href"] for a in found.all("link")] == ["data:,"]
    assert not {"iframe", "object", "embed", "base", "audio", "video"} & {tag for tag, _ in found.tags}
    styles = re.findall(r"<style>(.*?)</style>", render_html(*sample()), re.S)
    assert len(styles) == 1
    assert "@import" not in styles[0]
    assert "url(" not in styles[0]


def test_no_inline_style_or_handler_needs_a_weaker_policy() -> None:
    names = {name for _, attrs in page().tags for name in attrs}
    assert "style" not in names
    assert not {name for name in names if name.startswith("on")}


def test_the_policy_admits_exactly_the_style_and_script_of_the_page() -> None:
    text = render_html(*sample())
    import hashlib

    policy = next(a["content"] or "" for a in Page(text).all("meta") if a.get("http-equiv"))
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_link_into_the_page_arrives_and_no_id_stands_twice() -> None:
    found = page()
    ids = [str(attrs["id"]) for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for a in found.all("a") if str(a["href"]).startswith("#")}
    assert {t for t in targets if "=" not in t} <= set(ids)
    pointed = [a[n] for _, a in found.tags for n in ("aria-labelledby",) if n in a]
    assert {word for value in pointed for word in str(value).split()} <= set(ids)


def test_gates_stand_before_claims_and_failed_before_passed() -> None:
    text = page().text
    assert text.index("Hard gates") < text.index("What failed") < text.index("Promise and what was seen")
    assert list(STANDINGS) == ["failed", "unknown", "waived", "allowed", "not_run", "passed"]
    assert text.index("broke its promise") < text.index("exercised, and holds")


def test_standings_are_counted_apart_and_nothing_is_averaged() -> None:
    text = render_html(*sample())
    counts = dict(re.findall(r'href="#verdict=(\w+)"><span class="number">(\d+)<', text))
    rest = str(len(CLAIMS) - 4)
    assert counts == {"failed": "1", "unknown": "1", "waived": "0", "allowed": "0", "not_run": rest, "passed": "2"}
    assert "%" not in re.sub(r"<style>.*?</style>|<script>.*?</script>|%\w\w", "", text, flags=re.S)


def test_a_failure_tells_its_evidence_its_lanes_and_its_replay_line() -> None:
    found = page()
    assert "301 admissions" in found.text
    assert '{"priority": "normal", "route": "ticker"}' in found.text
    assert REPLAY in found.text
    assert [a["src"] for a in found.all("img")] == [
        "data:image/svg+xml;base64," + base64.b64encode(LANES.encode()).decode()
    ]


def test_the_matrix_shows_an_unnoticed_sabotage_first() -> None:
    text = render_html(*sample())
    matrix = text[text.index('<table class="matrix">') :]
    rows = re.findall(r'<tr[^>]*><th scope="row">.*?</tr>', matrix, re.S)
    assert ">ticker<" in re.sub(r'<span class="id">.*?</span> ', ">", rows[0])
    assert "no" in rows[0]
    assert rows[1].count('class="dotmark"') == 2


def test_the_timeline_says_in_words_what_it_draws() -> None:
    text = page().text
    assert "41 requests, 8 refused on purpose, 1 errors." in text
    assert "Fault http_fault on ticker from 1.2 to 2.2 s, had an effect." in text
    assert "Fault net_down on user from 2.5 to 3.0 s, had no effect." in text
    assert "Highest level: heavy." in text
    assert "Breaker ticker: closed, open, half_open, closed." in text


def test_an_old_certificate_without_most_fields_is_shown() -> None:
    old = {"predicate": {"result": "FAILED", "claims": [{"id": "C2.2", "component": "C2", "verdict": "FAIL"}]}}
    found = Page(render_html(old, {"outage": outage()}))
    assert "failed: C2.2" in found.text
    assert "Never more accepted in a sliding window" in found.text
    assert Page(render_html({"predicate": {}}, {})).text


def test_a_history_that_is_not_at_hand_is_listed_and_said() -> None:
    certificate, _ = sample()
    found = Page(render_html(certificate, {"burst": burst()}))
    assert "not at hand" in found.text
    assert len([a for a in found.all("svg") if a.get("class") == "timeline"]) == 1


def test_many_requests_are_thinned_and_keep_the_slowest_of_each_stretch() -> None:
    calls = 20_000
    events = [e for n in range(calls) for e in request(n, n / 100, 0.001 + n % 97 / 1000, 200 if n % 50 else 503)]
    timeline = timeline_of(History(header_of("soak"), events))
    assert POINTS_MAX < calls == timeline.all_points
    assert len(timeline.points) <= BUCKETS * 2 * 4
    assert max(p.latency_s for p in timeline.points) == 0.001 + 96 / 1000
    total = timeline.total
    assert total is not None
    assert (total.requests, total.refused) == (calls, calls // 50)


def test_a_certificate_of_25_busy_histories_stays_under_two_megabytes() -> None:
    certificate, _ = sample()
    busy = {f"busy-{n}": outage(requests=2_000) for n in range(25)}
    assert len(render_html(certificate, busy).encode()) < 2_000_000
