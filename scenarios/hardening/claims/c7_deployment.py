"""C7.1 to C7.3: the gate, preflight, and certificates that verify only as they were written."""

from __future__ import annotations

from hardening.claims.claim import claim
from hardening.claims.verdict import Exit, Verdict, failed, passed, unknown
from hardening.claims.views import probes
from hardening.history.events import History

GATE = {"passing": int(Exit.OK), "failing": int(Exit.FAILED), "unknown": int(Exit.UNKNOWN)}
SHUT = {
    **{kind: int(Exit.FAILED) for kind in ("expired", "forged", "other_code", "waives_itself")},
    "allows_itself": int(Exit.UNKNOWN),
}
"""Certificates that every gate must refuse; tried beside those that the claim needs."""
ANEW = "anew"
"""How a certificate was altered: edited, with its digests recomputed; else a changed byte, or a file more or less."""
MISCONFIGURED = (
    "missing_secret",
    "default_secret",
    "debug",
    "wildcard_cors",
    "unreachable",
    "volatile_store",
    "budget",
    "two_faults",
)


@claim(
    "C7.1",
    "The gate",
    premise="The gate was run on all three.",
    shown_by=("gate",),
)
def judge_gate(history: History) -> Verdict:
    """The workflow's gate exits 0, 1 and 3 on a passing, a failing and an unknown certificate."""
    runs = probes(history, "gate")
    wanted = {**GATE, **SHUT}
    for run in runs:
        kind, code = str(run.value["certificate"]), run.value["exit_code"]
        if kind not in wanted:
            return unknown(f"the gate was run on an unknown kind of certificate, {kind}")
        if code != wanted[kind]:
            return failed(len(runs), f"exit {code} on the {kind} certificate, not {wanted[kind]}", [run])
    missing = [kind for kind in GATE if kind not in {str(r.value["certificate"]) for r in runs}]
    if missing:
        return unknown(f"the gate was not run on: {', '.join(missing)}", runs=len(runs))
    return passed(len(runs), runs=len(runs))


@claim(
    "C7.2",
    "Preflight",
    premise="Each kind of misconfiguration and a sound one were tried.",
    shown_by=("deployment",),
)
def judge_preflight(history: History) -> Verdict:
    """A misconfigured deployment is refused, one line for each fault."""
    runs = probes(history, "preflight")
    for run in runs:
        case, code, lines = str(run.value["case"]), run.value["exit_code"], list(run.value["lines"])
        if case == "sound":
            if code != Exit.OK:
                return failed(len(runs), f"a sound deployment was refused with exit {code}", [run])
            continue
        wanted = int(run.value.get("faults", 1))
        if code in {Exit.OK, None}:
            return failed(len(runs), f"{case}: it was let through", [run])
        if len(lines) != wanted or not all(str(line).strip() for line in lines):
            return failed(len(runs), f"{case}: {len(lines)} lines for {wanted} faults", [run])
    missing = [case for case in ("sound", *MISCONFIGURED) if case not in {str(r.value["case"]) for r in runs}]
    if missing:
        return unknown(f"not tried: {', '.join(missing)}", runs=len(runs))
    return passed(len(runs), runs=len(runs))


@claim(
    "C7.3",
    "Verification",
    premise="An intact one, ones with an altered byte, and one edited with its digests recomputed were verified.",
    shown_by=("gate",),
)
def judge_verification(history: History) -> Verdict:
    """A certificate verifies by re-judging; after any digested byte changed it does not.

    Nor does one that was edited with its digests recomputed: it shows that the stored histories are judged again.
    """
    runs = probes(history, "verify")
    altered = [r for r in runs if r.value["altered"]]
    for run in runs:
        code = run.value["exit_code"]
        if run.value["altered"] and code != Exit.FAILED:
            how = "edited, and its digests recomputed" if run.value.get("how") == ANEW else "altered"
            return failed(len(runs), f"exit {code} though {run.value['altered']} was {how}", [run])
        if not run.value["altered"] and code != Exit.OK:
            return failed(len(runs), f"exit {code} on an intact certificate", [run])
    tried = {
        "an intact one": len(altered) < len(runs),
        "an altered history": any(str(r.value["altered"]).startswith("histories/") for r in altered),
        "an altered certificate": any(r.value["altered"] == "certificate.json" for r in altered),
        "an edited one with digests recomputed": any(r.value.get("how") == ANEW for r in altered),
    }
    missing = [what for what, was_tried in tried.items() if not was_tried]
    if missing:
        return unknown(f"not verified: {', '.join(missing)}", runs=len(runs))
    return passed(len(runs), runs=len(runs), altered=len(altered))
