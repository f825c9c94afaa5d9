"""``hardening gate``, ``verify`` and ``keygen`` as a user calls them: exit codes, words, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hardening.certificate.provenance import Provenance, provenance
from hardening.certificate.sample_certificates import SAMPLES, forge, make
from hardening.certificate.signing import key_id, load_private_key, load_public_key
from hardening.commands.certify import certify_command
from hardening.commands.cli import hardening

HERE = Provenance(provenance().code_digest, "unknown")
CLEAN = Provenance(provenance().code_digest, "a" * 40)
WAIVER = """
[[waiver]]
claim = "C7.2"
owner = "ops@example.org"
reason = "the new preflight comes on Monday"
expiry = {expiry}
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(hardening, list(words))


@pytest.fixture(scope="module")
def now_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples that are valid now, whenever that is."""
    root = tmp_path_factory.mktemp("samples")
    for kind, sample in SAMPLES.items():
        make(sample, root / kind, HERE, datetime.now(UTC))
    forge(root / "forged", HERE, datetime.now(UTC))
    return root


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("passing", 0, "gate open: "),
        ("failing", 1, "FAILED; failed: C7.2"),
        ("unknown", 3, "FAILED; unknown: C7.2"),
        ("expired", 1, "not intact: expiry: it expired at"),
        ("forged", 1, "not intact: verdicts: predicate.claims[C7.2].verdict states 'PASS'"),
        ("waives_itself", 1, "FAILED; failed: C7.2"),
        ("allows_itself", 3, "FAILED; unknown: C7.2"),
    ],
)
def test_the_gate_opens_for_an_intact_certificate_that_passes_and_for_no_other(
    now_made: Path, kind: str, code: int, said: str
) -> None:
    done = run("gate", str(now_made / kind / "certificate.json"))
    assert done.exit_code == code
    assert said in done.stdout
    told = json.loads(run("gate", str(now_made / kind), "--json").stdout)
    assert (told["open"], told["exit_code"]) == (code == 0, code)


def test_the_gate_can_ask_for_passed_and_for_this_code(now_made: Path, tmp_path: Path) -> None:
    assert run("gate", str(now_made / "passing"), "--require-passed").exit_code == 1
    assert run("gate", str(now_made / "passing"), "--this-code").exit_code == 0
    make(SAMPLES["passing"], tmp_path / "other", Provenance("sha256:other", "unknown"), datetime.now(UTC))
    assert run("gate", str(tmp_path / "other")).exit_code == 0
    assert run("gate", str(tmp_path / "other"), "--this-code").exit_code == 1
    make(SAMPLES["passing"], tmp_path / "named", Provenance(f"sha256:{'1' * 64}", "unknown"), datetime.now(UTC))
    assert run("gate", str(tmp_path / "named"), "--code-digest", f"sha256:{'1' * 64}").exit_code == 0
    assert run("gate", str(tmp_path / "named"), "--code-digest", f"sha256:{'2' * 64}").exit_code == 1


@pytest.mark.parametrize(("kind", "what"), [("waives_itself", "waives"), ("allows_itself", "allows to be unknown")])
def test_what_a_certificate_excuses_itself_is_said_to_count_for_nothing(now_made: Path, kind: str, what: str) -> None:
    assert json.loads((now_made / kind / "certificate.json").read_text())["predicate"]["result"] == "WARNED"
    assert run("verify", str(now_made / kind)).exit_code == 0  # it is what it says that it is
    done = run("gate", str(now_made / kind), "--json")
    (note,) = [note for note in json.loads(done.stdout)["notes"] if "counts for nothing here" in note]
    assert note.startswith(f"the certificate itself {what} ")


def test_the_gates_own_waivers_and_allowances_count_until_they_end(now_made: Path, tmp_path: Path) -> None:
    waivers, allowed = tmp_path / "waivers.toml", tmp_path / "allow-unknown.txt"
    waivers.write_text(WAIVER.format(expiry="2999-12-31"))
    allowed.write_text("C7.2  # the machine has no cgroup\n")
    assert run("gate", str(now_made / "failing"), "--waivers", str(waivers)).exit_code == 0
    assert run("gate", str(now_made / "unknown"), "--allow-unknown", str(allowed)).exit_code == 0
    assert run("gate", str(now_made / "failing"), "--allow-unknown", str(allowed)).exit_code == 1
    refused = run("gate", str(now_made / "failing"), "--waivers", str(waivers), "--require-passed")
    assert (refused.exit_code, "the result is WARNED (waived: C7.2" in refused.stdout) == (1, True)
    waivers.write_text(WAIVER.format(expiry="2025-12-31"))
    shut = run("gate", str(now_made / "passing"), "--waivers", str(waivers))
    assert (shut.exit_code, "expired waivers: C7.2" in shut.stdout) == (1, True)


def test_the_gate_says_how_old_a_certificate_may_be(tmp_path: Path) -> None:
    make(SAMPLES["passing"], tmp_path / "old", HERE, datetime.now(UTC) - timedelta(days=8))
    assert run("gate", str(tmp_path / "old")).exit_code == 0
    shut = run("gate", str(tmp_path / "old"), "--max-age-days", "7")
    assert (shut.exit_code, "not intact: expiry: it expired at" in shut.stdout) == (1, True)


@pytest.mark.parametrize(
    ("kind", "code"), [("passing", 0), ("failing", 1), ("unknown", 3), ("waives_itself", 1), ("allows_itself", 3)]
)
def test_where_passed_is_required_the_gate_opens_for_passed_alone(kind: str, code: int, tmp_path: Path) -> None:
    make(SAMPLES[kind], tmp_path / kind, CLEAN, datetime.now(UTC))
    words = ["gate", str(tmp_path / kind), "--require-passed", "--this-code", "--claims", "C7.2"]
    assert run(*words).exit_code == code
    assert run(*words[:-1], "C7").exit_code in {1, 3}  # C7.1 and C7.3 were not judged


def test_without_a_key_the_gate_says_that_nobody_knows_who_made_it(now_made: Path) -> None:
    assert "who made this certificate is unproven" in run("gate", str(now_made / "passing")).stdout


def test_verify_exits_0_on_an_intact_certificate_whatever_its_result(now_made: Path) -> None:
    for kind in ("passing", "failing", "unknown"):
        done = run("verify", str(now_made / kind / "certificate.json"))
        assert done.exit_code == 0
        assert "who made this certificate is unproven" in done.stdout
    assert run("verify", str(now_made / "expired")).exit_code == 1


def test_verify_names_the_first_thing_that_does_not_hold(certificate: Callable[[str], Path]) -> None:
    directory = certificate("passed")
    (directory / "junit.xml").unlink()
    done = run("verify", str(directory))
    assert done.exit_code == 1
    assert "NOT INTACT: files: junit.xml is missing" in done.stdout
    assert json.loads(run("verify", str(directory), "--json").stdout)["intact"] is False


@pytest.mark.parametrize("command", ["verify", "gate"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere/certificate.json"], "CERTIFICATE is 'nowhere/certificate.json', allowed: a certificate.json"),
        (["{sample}/certificate.md"], "allowed: a certificate.json, or its directory"),
        (["{sample}", "--key", "missing.pem"], "--key is 'missing.pem', allowed: an Ed25519 public key in PEM"),
        (["{sample}", "--digest", "sha256:1"], "--digest is 'sha256:1', allowed: sha256: and 64 hex digits"),
        (["{sample}", "--code-digest", "x"], "--code-digest is 'x', allowed: sha256: and 64 hex digits"),
        ([], "CERTIFICATE"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(now_made: Path, command: str, words: list[str], said: str) -> None:
    done = run(command, *(word.replace("{sample}", str(now_made / "passing")) for word in words))
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--waivers", None, "--waivers is"),
        ("--waivers", "x = " + "[" * 100_000, "--waivers is"),
        ("--waivers", "[[waiver]]\nclaim = 'C9'", "waiver 1 lacks owner"),
        ("--waivers", WAIVER.format(expiry="9999-12-31"), "waiver 1: expiry is 9999-12-31"),
        ("--allow-unknown", "C99", "allow-unknown line 1 is 'C99'"),
        ("--claims", "", "--claims is"),
        ("--max-age-days", "", "31"),
    ],
)
def test_terms_of_the_gate_that_cannot_be_are_one_line_and_exit_2(
    now_made: Path, tmp_path: Path, option: str, text: str | None, said: str
) -> None:
    file = tmp_path / "terms"
    if text is not None:
        file.write_text(text)
    value = "31" if option == "--max-age-days" else str(file)
    done = run("gate", str(now_made / "passing"), option, value)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_pair_is_made_once_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "signing.pem"
    done = run("keygen", str(file))
    assert done.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    public = load_public_key(tmp_path / "signing.pem.pub", "--key")
    assert load_private_key(file, "--sign-key").public_key() == public
    assert key_id(public) in done.stdout
    before = file.read_bytes()
    again = run("keygen", str(file))
    assert again.exit_code == 2
    assert "allowed: a file that is not there yet" in again.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--waivers", "[[waiver]]\nclaim = 'C9'", "waiver 1 lacks owner"),
        ("--waivers", None, "--waivers is"),
        ("--sign-key", "no key", "allowed: an unencrypted Ed25519 private key in PEM"),
        ("--baseline", "{}", "allowed: a certificate.json of an earlier run"),
    ],
)
def test_certify_refuses_a_bad_file_before_it_starts(tmp_path: Path, option: str, text: str | None, said: str) -> None:
    file = tmp_path / "given"
    if text is not None:
        file.write_text(text)
    done = CliRunner().invoke(certify_command, ["--out", str(tmp_path / "out"), option, str(file)])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_certify_keeps_its_hands_off_a_directory_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("kept")
    done = CliRunner().invoke(certify_command, ["--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "which holds 'precious.txt', allowed: a new or empty directory" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "kept"
