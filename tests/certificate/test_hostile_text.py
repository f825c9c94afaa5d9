"""Text that was recorded, or written by strangers, is text in every report: never HTML, a link, an image, a heading."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from certificate_facts import facts, load_row
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hardening.certificate.reports.markdown import render
from hardening.certificate.statement import HistoryFile, Story, statement
from hardening.certificate.waivers import Waiver
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import Event

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></table><h1>PASSED</h1>",
    "`</code><b onclick=x>`",
    "![x](https://example.org/x.png)",
    "[open](javascript:alert(1))",
    "<https://example.org/>",
    "\n\n# Certificate: PASSED\n\n",
    "a | b | <i>c</i> |",
    "&lt;script&gt;",
    "\\<script>\\`<script>",
    "<!-- hidden --> <?php ?> <![CDATA[x]]>",
)


def tokens(text: str) -> list[Token]:
    found = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [*found, *(child for token in found for child in token.children or ())]


def certificate(text: str) -> dict[str, object]:
    event = Event(1.0, text, "state", "probe", {"probe": text, text: [text]}, text, 3).cite()
    verdicts = [
        Verdict("C1.1", Outcome.PASS, 1, {text: text}, (), "", text),
        Verdict("C1.2", Outcome.FAIL, 1, {}, (event,), text, text),
        Verdict("C1.3", Outcome.UNKNOWN, 0, {}, (), text),
    ]
    history = HistoryFile(text, f"histories/{text}.jsonl", "sha256:00", text, 1, {text: True})
    where = dict.fromkeys(("python", "implementation", "os", "redis_server", "toxiproxy"), text)
    environment = {**where, "machine": text, "cpus": 2, "libraries": {text: text}, "run_url": text}
    return statement(
        verdicts,
        facts(
            environment=environment,
            histories=[history],
            sabotage=text,
            problems=[text],
            waivers=(Waiver("C1.3", text, text, date(2026, 12, 1)),),
            sabotages=[{"name": text, "component": text, "detected": True, "by": [text], text: text}],
            loads=[load_row(name=text, verdict="UNKNOWN", held=False, reason=text)],
            stories=[Story("C1.2", text, f"first\n{text}\nlast", text, text)],
            faults=[{"kind": text, "injected": 1, "bit": 0, "bite": {text: text}, "histories": [text]}],
            since={"baseline": text, "result": text, "finished_at": text, "changes": [text]},
        ),
    )


def headings(text: str) -> list[str]:
    found = tokens(text)
    return [after.content for before, after in pairwise(found) if before.type == "heading_open"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_html_a_link_an_image_or_a_heading(text: str) -> None:
    report = render(certificate(text))
    kinds = {token.type for token in tokens(report)}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    assert "<script" not in report
    assert len(headings(report)) == len(headings(render(certificate("harmless"))))


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\n" not in text])
def test_the_reader_sees_the_text_as_it_was_recorded(text: str) -> None:
    report = render(certificate(text))
    shown = " ".join(token.content for token in tokens(report) if token.type == "text" or token.type == "text_special")
    assert "".join(text.split()) in "".join(shown.split())
