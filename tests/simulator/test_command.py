# ruff: noqa: ANN001, ANN002, ANN202 - programs under test are written as anybody would write them
"""``hardening explore`` as a shell sees it: exit codes, JSON, replay line, shards, workers."""

import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from click.testing import CliRunner

from hardening.commands.explore import explore_command

PROGRAM = """
import asyncio, subprocess
from hardening.simulator import io

async def racy():
    order = []
    async def one(name, low):
        await io(low, 1.0)
        order.append(name)
    await asyncio.gather(asyncio.create_task(one("a", 0.0), name="a"), asyncio.create_task(one("b", 0.1), name="b"))
    assert order == ["a", "b"]

async def sound():
    await io(0.0, 1.0)

async def rude():
    subprocess.run(["true"])

async def leaving():
    raise SystemExit(1)

async def needy(argument):
    pass

def plain():
    pass
"""


@pytest.fixture
def shell(tmp_path):
    path = tmp_path / "some_programs.py"
    path.write_text(PROGRAM)

    def run(function, *words):
        return CliRunner().invoke(explore_command, [f"{path}:{function}", *words])

    return run


def test_nothing_found_is_0_and_found_is_1(shell):
    assert shell("sound", "--runs", "20").exit_code == 0
    done = shell("racy", "--seed", "5")
    assert done.exit_code == 1
    assert "It takes 1 decision" in done.output


def test_the_replay_line_can_be_pasted(shell):
    line = re.search(r"^replay: hardening explore (.*)$", shell("racy", "--seed", "5").output, re.MULTILINE)
    words = shlex.split(line.group(1))
    done = CliRunner().invoke(explore_command, words)
    assert done.exit_code == 1
    assert "the same trace as recorded" in done.output


def test_bad_usage_is_2_in_one_line(shell):
    for function, *words in (
        ["missing"],
        ["needy"],
        ["plain"],
        ["sound", "--shard", "9/2"],
        ["sound", "--replay", "x"],
        ["sound", "--runs", "0"],
        ["sound", "--latency", "3", "1"],
    ):
        done = shell(function, *words)
        assert done.exit_code == 2, (function, words)
    assert CliRunner().invoke(explore_command, ["nowhere.py:x"]).exit_code == 2


def test_broken_rules_are_4_with_the_place(shell):
    done = shell("rude")
    assert done.exit_code == 4
    assert "a subprocess" in done.output
    assert "some_programs.py" in done.output


def test_json_holds_everything_and_svg_is_well_formed(shell, tmp_path):
    done = shell("racy", "--seed", "5", "--json", "--save", str(tmp_path / "r.json"), "--svg", str(tmp_path / "r.svg"))
    report = json.loads(done.output)
    assert report["found"] is True
    assert report["counterexample"]["exception"]["type"] == "AssertionError"
    assert ET.parse(tmp_path / "r.svg").getroot().tag.endswith("svg")
    again = shell("racy", "--replay", f"@{tmp_path / 'r.json'}", "--json")
    assert again.exit_code == 1
    assert json.loads(again.output)["same_trace"] is True


def test_workers_find_what_one_process_finds(shell):
    alone = json.loads(shell("racy", "--seed", "8", "--runs", "60", "--json").output)
    together = json.loads(shell("racy", "--seed", "8", "--runs", "60", "--json", "--workers", "2").output)
    assert together["counterexample"]["run"] == alone["counterexample"]["run"]
    assert together["counterexample"]["plan"] == alone["counterexample"]["plan"]
    assert shell("sound", "--runs", "10", "--workers", "2").exit_code == 0
    assert shell("rude", "--workers", "2").exit_code == 4


def test_workers_write_recording_picture_and_corpus_as_one_process_does(shell, tmp_path):
    words = ["--seed", "8", "--runs", "60", "--corpus", str(tmp_path / "corpus"), "--workers", "2"]
    done = shell("racy", *words, "--save", str(tmp_path / "r.json"), "--svg", str(tmp_path / "r.svg"))
    assert done.exit_code == 1
    assert ET.parse(tmp_path / "r.svg").getroot().tag.endswith("svg")
    assert json.loads(shell("racy", "--replay", f"@{tmp_path / 'r.json'}", "--json").output)["same_trace"] is True
    assert json.loads(shell("racy", *words, "--json").output)["from_corpus"] is True


def test_a_file_that_cannot_be_imported_and_a_recording_that_is_not_there_are_usage(shell, tmp_path):
    for text, said in (("import no_such_module", "ModuleNotFoundError"), ("def f(:", "SyntaxError"), ("1 / 0", "Zero")):
        (tmp_path / "broken.py").write_text(text)
        done = CliRunner().invoke(explore_command, [f"{tmp_path / 'broken.py'}:f"])
        assert done.exit_code == 2
        assert said in done.output
    done = shell("sound", "--replay", "@nowhere.json")
    assert (done.exit_code, done.output) == (2, "explore: 'nowhere.json': No such file or directory\n")


def test_a_program_that_ends_the_process_is_neither_found_nor_sound(shell):
    done = shell("leaving", "--runs", "3")
    assert done.exit_code == 4
    assert "sys.exit(1)" in done.output


SERVED = """
import asyncio, fastapi, httpx, uvicorn
from hardening.simulator import network

async def served():
    app = fastapi.FastAPI()
    app.get("/")(lambda n: {"n": n})
    server = uvicorn.Server(uvicorn.Config(app, host="0.0.0.0", port=80, log_config=None, http="h11"))
    with network().host("web"):
        task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.1)
    async with httpx.AsyncClient(base_url="http://web", verify=False) as client:
        assert (await client.get("/", params={"n": "1"})).json() == {"n": "1"}
    server.should_exit = True
    await task
"""


def test_a_web_application_runs_in_a_process_that_imported_nothing_else_before(tmp_path):
    (tmp_path / "web.py").write_text(SERVED)
    argv = [sys.executable, "-m", "hardening.commands.explore", f"{tmp_path / 'web.py'}:served", "--runs", "3"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_corpus_directory_is_used(shell, tmp_path):
    shell("racy", "--seed", "5", "--corpus", str(tmp_path / "corpus"))
    report = json.loads(shell("racy", "--seed", "6", "--corpus", str(tmp_path / "corpus"), "--json").output)
    assert report["from_corpus"] is True
