"""C4.5: no answer without a key of the right scope, and no user's data for another user."""

from __future__ import annotations

from hardening.claims.claim import claim
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import PRODUCT_OPERATIONS, PUBLIC_OPERATIONS, Asked, asked
from hardening.history.events import Event, History

REFUSED_KEYS = {"none": 401, "wrong": 401, "other_scope": 403}


def _alert_of_another(history: History) -> list[Event]:
    """Two users who got the same alert: one of them used a key that the other had used."""
    owners: dict[str, Asked] = {}
    for one in asked(history):
        alert, user = one.get("delivery_id"), one.invoke.value["user"]
        if not (one.served and alert and user):
            continue
        first = owners.setdefault(str(alert), one)
        if first.invoke.value["user"] != user:
            return [*first.events(), *one.events()]
    return []


@claim(
    "C4.5",
    "Keys and scopes",
    premise="Requests with bad keys were made, and at least two users were answered.",
    shown_by=("secrets",),
    needs=("request",),
)
def judge_keys(history: History) -> Verdict:
    """No route but the public ones without a valid key of its scope; no user sees another's data.

    No user is served what only others are entitled to either, as happens with another user's entitlement.
    """
    refused, users = 0, set()
    if evidence := _alert_of_another(history):
        return failed(refused, "two users got one alert", evidence)
    for one in asked(history):
        if not one.status:
            continue
        key = str(one.invoke.value.get("key", "valid"))
        user, whose = str(one.invoke.value["user"]), one.get("answered_user")
        if key in REFUSED_KEYS and one.operation not in PUBLIC_OPERATIONS:
            refused += 1
            if one.status < 400:  # anything that is not a refusal
                return failed(refused, f"answered {one.status} to a request with key {key!r}", one.events())
            if one.status in {401, 403} and one.status != REFUSED_KEYS[key]:
                return failed(refused, f"key {key!r} got {one.status}", one.events())
        elif one.served and one.operation in PRODUCT_OPERATIONS and one.invoke.value.get("entitled") is False:
            return failed(refused, f"{user} was served what it is not entitled to", one.events())
        elif one.served and whose is not None and user:  # the owner of the key is known
            users.add(user)
            if str(whose) != user:
                return failed(refused, f"{user} got the data of {whose}", one.events())
    if not refused:
        return unknown("no request had a missing, wrong or insufficient key")
    if len(users) < 2:  # one user alone cannot be mistaken for another
        return unknown("answers of fewer than two users name their user", refused=refused)
    return passed(refused, refused=refused, users=len(users))
