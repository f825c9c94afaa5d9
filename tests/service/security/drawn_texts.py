"""Secrets and harmless texts drawn from a seed: what stands in logs, and the part of it that may not survive."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from urllib.parse import quote

Drawn = tuple[str, str]
"""A text, and the part of it that is secret."""

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
SYMBOLS = "!#$%*+-./:=?@^_~"
NAMES = [
    "password",
    "passwd",
    "db_password",
    "DB_PASSWORD",
    "userPassword",
    "passphrase",
    "pwd",
    "secret",
    "client_secret",
    "clientSecret",
    "token",
    "access_token",
    "refreshToken",
    "id_token",
    "auth_token",
    "api_key",
    "apiKey",
    "X-Api-Key",
    "x-api-key",
    "private_key",
    "secret_key",
    "AWS_SECRET_ACCESS_KEY",
    "signing_key",
    "encryption_key",
    "session_id",
    "sessionId",
    "credential",
    "credentials",
    "sid",
    "jwt",
    "dsn",
    "auth",
    "pass",
    "access_key",
    "AccountKey",
    "SharedAccessKey",
    "X-Vault-Token",
    "PRIVATE-TOKEN",
    "otp",
    "webhook_secret",
    "SECRET_KEY_BASE",
    "password1",
]
DIGIT_NAMES = [
    "phone",
    "mobile",
    "msisdn",
    "pin",
    "pan",
    "cvv",
    "card_number",
    "cardNumber",
    "phone_number",
    "ssn",
    "tel",
    "contactPhone",
]


def text(rng: random.Random, letters: str, least: int, most: int) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(least, most)))


def password(rng: random.Random) -> str:
    """Letters, digits and symbols; begins like a number, a word or a literal now and then."""
    core = rng.choice(LETTERS) + text(rng, LETTERS + SYMBOLS, 8, 20) + rng.choice(LETTERS)
    return rng.choice(["", "", "", "1234567890-", "true-", "0/", "12", "none", "3.5"]) + core


def core_of(value: str) -> str:
    return value[len(value) // 2 - 3 :][:6]


def named(rng: random.Random) -> Drawn:
    name, value = rng.choice(NAMES), password(rng)
    if rng.random() < 0.2:
        value = text(rng, LETTERS, 5, 8) + rng.choice("'\"") + text(rng, LETTERS, 6, 8)
    forms = (
        "{n}={v}",
        "{n}: {v}",
        "{n} = {v}",
        "{n}: {q}",
        "{n}={q}",
        '{{"{n}": {q}}}',
        '{{"a":1,"{n}":{q},"b":2}}',
        "'{n}': {r}",
        "[({r0}, {r})]",
        '["{n}", {q}]',
        "--{n} {s}",
        "--{n}={s}",
        "GET /x?{n}={e}&page=2",
        '{{"name":"{n}","value":{q}}}',
        "- name: {n}\n  value: {s}",
        "<{n}>{s}</{n}>",
        '{{"{n}":\n   {q}}}',
        "{n}:\n  {s}",
        '{{"{n}":["x",{q}]}}',
        '{{"{n}":{{"old":{q}}}}}',
        "{n} => {q}",
        "{n}: |\n  {s}\n  {s}\nnext: 1",
        "export {n}={s}",
        "env: {n}={s}; next",
        "\x1b[36m{n}\x1b[0m=\x1b[35m{s}\x1b[0m",
        "{n}\uff1a{s}",
        "{n}:\u00a0{s}",
        '["--{n}", {q}]',
        'key="{n}" value={q}',
        "{n} := {q}",
    )
    simple = "".join(char for char in value if char not in "'\"&%") or value
    shown = rng.choice(forms).format(
        n=name, v=value, q=json.dumps(value), r=repr(value), r0=repr(name), s=simple, e=quote(value, safe="")
    )
    return shown, core_of(simple if value not in shown and simple in shown else value)


def in_digits(rng: random.Random) -> Drawn:
    name, value = rng.choice(DIGIT_NAMES), text(rng, string.digits, 9, 12)
    gap = rng.choice(["", " ", "-"])
    shown = gap.join((value[:3], value[3:6], value[6:]))
    form = rng.choice(["{}={}", "{}: {}", '"{}": "{}"', "'{}': '{}'", "{} = {}", '{{"{}":"{}"}}'])
    return form.format(name, shown), value[6:]


def shaped(rng: random.Random) -> Drawn:
    big, low = string.ascii_uppercase + string.digits, string.ascii_lowercase + string.digits

    def draw(letters: str, length: int) -> str:
        return text(rng, letters, length, length)

    kinds = (
        "AKIA" + draw(big, 16),
        "ASIA" + draw(big, 16),
        "AIza" + draw(LETTERS + "_-", 35),
        "ya29." + draw(LETTERS, 60),
        "GOCSPX-" + draw(LETTERS, 28),
        *(f"gh{kind}_{draw(LETTERS, 36)}" for kind in "pousr"),
        f"github_pat_{draw(LETTERS, 22)}_{draw(LETTERS, 59)}",
        "glpat-" + draw(LETTERS + "_-", 20),
        f"xoxb-{draw(string.digits, 12)}-{draw(string.digits, 13)}-{draw(LETTERS, 24)}",
        f"xoxp-{draw(string.digits, 11)}-{draw(HEX, 32)}",
        f"https://hooks.slack.com/services/T{draw(big, 8)}/B{draw(big, 8)}/{draw(LETTERS, 24)}",
        *(f"{kind}_{mode}_{draw(LETTERS, 24)}" for kind in ("sk", "rk") for mode in ("live", "test")),
        "whsec_" + draw(LETTERS, 32),
        "SK" + draw(HEX, 32),
        f"SG.{draw(LETTERS, 22)}.{draw(LETTERS, 43)}",
        "npm_" + draw(LETTERS, 36),
        "pypi-AgEIcHlwaS5vcmc" + draw(LETTERS + "_-", 80),
        "dckr_pat_" + draw(LETTERS, 27),
        "hf_" + draw(string.ascii_letters, 34),
        "hvs." + draw(LETTERS, 24),
        f"{draw(string.digits, 10)}:AA{draw(LETTERS + '_-', 33)}",
        "shpat_" + draw(HEX, 32),
        "sk-" + draw(LETTERS, 48),
        "sk-proj-" + draw(LETTERS, 40),
        "dapi" + draw(HEX, 32),
        "dop_v1_" + draw(HEX, 64),
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{draw(LETTERS, 30)}.{draw(LETTERS + '_-', 43)}",
        "glsa_" + draw(LETTERS, 32) + "_" + draw(HEX, 8),
        "AGE-SECRET-KEY-1" + draw(big, 58),
        "rubygems_" + draw(HEX, 48),
        "figd_" + draw(LETTERS, 40),
        "sbp_" + draw(low, 40),
    )
    value = rng.choice(kinds)
    form = rng.choice(
        ["using {} now", "{}", "got '{}'", "cloning with {} failed", "(token {})", '{{"m":"{}"}}', "x={},"]
    )
    return form.format(value), value[-10:]


def around(rng: random.Random) -> Drawn:
    """What is known by what stands around it."""
    value, plain = password(rng), text(rng, LETTERS, 12, 30) + "7"
    url = plain[:5] + rng.choice(["", "/", "#", "@", "?", '"']) + plain[5:]
    key = text(rng, LETTERS + "+/", 64, 64)
    prefix = rng.choice(["", "2026-01-01 app | ", "> "])
    user = base64.b64encode(f"joe:{plain}".encode()).decode()
    forms: tuple[Drawn, ...] = (
        (f"Authorization: Bearer {plain}", plain),
        (f"got bearer {plain} from", plain),
        (f"Authorization: Basic {user}", user),
        (f"Authorization: Basic\r\n {user}\r\nAccept: x", user),
        (f'Cookie: a="quoted x"; sid={plain}', plain),
        (f"Set-Cookie: sid={plain}; Path=/", plain),
        (f"redis://:{url}@h:1/0", url[7:]),
        (f"https://joe:{url}@host/x", url[7:]),
        (f"postgresql+asyncpg://app:{plain}@db.local/x", plain),
        (f"amqp://u:{plain}@h/v", plain),
        (f'1.2 [0 1:5] "AUTH" "{plain}"', plain),
        (f'"AUTH" "default" "{plain}"', plain),
        (f"AUTH {plain}", plain),
        (f"curl -u joe:{plain} https://x", plain),
        (f"mysql -u root -p{plain} db", plain),
        (f"sshpass -p {plain} ssh x", plain),
        (f"IDENTIFIED BY '{plain}'", plain),
        (f"CONFIG SET requirepass {plain}", plain),
        (f"machine h login joe password {plain}", plain),
        (f'Digest username="joe", realm="x", response="{plain}"', plain),
        (f"the password is X9!{plain}", plain),
        (f"X-Amz-Signature={text(rng, HEX, 64, 64)}x", "x"),
        (f"?sv=1&sig={quote(key, safe='')}", quote(key, safe="")),
        (f"AccountName=a;AccountKey={key};EndpointSuffix=x", key),
        (f"Server=h;Password={plain};Database=x", plain),
        (f"{prefix}-----BEGIN RSA PRIVATE KEY-----\n{prefix}{key}\n{prefix}-----END RSA PRIVATE KEY-----", key),
        (f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{key}\n-----END PGP PRIVATE KEY BLOCK-----", key),
        (
            f"-----BEGIN PRIVATE KEY-----\n{key.translate(str.maketrans('+/', '-_'))}\n",
            key.translate(str.maketrans("+/", "-_")),
        ),
        (
            base64.b64encode(f"-----BEGIN PRIVATE KEY-----\n{key}".encode()).decode(),
            base64.b64encode(f"-----BEGIN PRIVATE KEY-----\n{key}".encode()).decode()[-20:-4],
        ),
        (f"{plain.lower()}@example.co.uk", plain.lower()),
        (f"password='''{value}'''", core_of(value)),
    )
    shown, core = rng.choice(forms)
    return (shown[:-1], shown[-20:-1]) if core == "x" else (shown, core[:12] if len(core) > 12 else core)


def luhn(digits: str) -> str:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)


def numbered(rng: random.Random) -> Drawn:
    card = luhn(rng.choice(["4", "51", "2221", "6011"]).ljust(4, "1") + text(rng, string.digits, 11, 11))
    gap = rng.choice(["", " ", "-", "\u00a0"])
    body = text(rng, string.digits, 18, 18)
    iban = f"DE{98 - int(body + '131400') % 97:02d}{body}"
    spaced = " ".join(iban[at : at + 4] for at in range(0, 22, 4))
    tail = text(rng, string.digits, 7, 7)
    return rng.choice(
        [
            (f"paid with {gap.join(card[at : at + 4] for at in range(0, 16, 4))} today", card[12:]),
            (f"to {rng.choice([iban, spaced])} today", iban[4:8]),
            (f"call +49 170 {tail}", tail),
            (f"call +4420{tail}8", tail),
            (f"call +1-202-555-{tail[:4]}", f"-{tail[:4]}"),
            (f"phone 0171 {tail}", tail),
            (f"tel. (030) {tail}", tail),
            (f"mobile: 0{tail[:3]} {tail}", tail),
        ]
    )


CLOTHES: tuple[Callable[[str], str], ...] = (
    str,
    str,
    lambda shown: f"before {shown} after",
    lambda shown: json.dumps({"message": shown, "n": 1}),
    lambda shown: json.dumps({"message": shown}, ensure_ascii=False, separators=(",", ":")),
    lambda shown: json.dumps({"message": json.dumps({"inner": shown})}),
    lambda shown: f"GET /v2/signals?q={quote(shown, safe='')}&b=1 HTTP/1.1",
)
KINDS = (named, named, named, in_digits, shaped, around, numbered)


def secret(rng: random.Random) -> Drawn:
    """One secret in one of its forms, dressed as logs dress it."""
    shown, core = rng.choice(KINDS)(rng)
    return rng.choice(CLOTHES)(shown), core


def harmless(rng: random.Random) -> str:
    """Market data, identifiers, code and prose that only looks like a secret."""
    word = rng.choice(
        [
            "database",
            "worker",
            "bucket",
            "required",
            "expired",
            "limit",
            "policy",
            "refresh",
            "storage",
            "engine",
            "signal",
            "order",
        ]
    )
    price, epoch = round(rng.uniform(0.01, 99_999), 4), rng.randrange(1_600_000_000, 1_900_000_000)
    digest = text(rng, HEX, 64, 64)
    return rng.choice(
        [
            f'{{"t":{epoch},"o":{price},"c":{price},"v":{rng.randrange(10**10)}}}',
            f"epoch {epoch}000 {epoch}000000",
            f"sha256:{digest}",
            f"id {digest[:8]}-{digest[8:12]}-4{digest[12:15]}-a{digest[15:18]}-{digest[18:30]}",
            f"token {word} of 5",
            f"secret {word}",
            f"password {word}",
            f'"token_count":{rng.randrange(999)},"max_tokens":{rng.randrange(9999)}',
            f"api_key_{word}=none",
            f"redis://cache-{rng.randrange(9)}:6379/0",
            f"REDIS_URL=redis://{word}:6379/{rng.randrange(9)}",
            f"postgresql://db/{word}",
            f"delta +{rng.randrange(1, 99)}00000 shares",
            f"levels {rng.randrange(200, 999)} {rng.randrange(200, 999)} {rng.randrange(2000, 9999)}",
            f"time_to_live_seconds={rng.randrange(999)}",
            f"tests/integration_test_{word}.py passed",
            f"tokenizer: {word}-base",
            f"pod signal_test_{word}-{digest[:4]}",
            "PWD=/home/" + word,
            f"Bearer {word} required",
            f"basic {word} for all",
            f"tests pass: {word}",
            f'WWW-Authenticate: Bearer realm="{word}", error="invalid_token"',
            f"session: {word}",
            f"password=${{{word.upper()}}}",
            f"http://127.0.0.1:{rng.randrange(1024, 65535)}/candles/{word.upper()}?limit=200&to={epoch}",
            f"git@2x.png {word}@2x.png",
            f"key=signal:cache:{word}:1m version={rng.randrange(99)} age_s={price}",
            f"+0{rng.randrange(9)}:00 +{price} -{price} 1e+{rng.randrange(9)}",
            f"Idempotency-Key: order-{rng.randrange(999)}",
            f'"key_sha256":"{digest[:12]}"',
            f"authored by {word}, {rng.randrange(99)} passed",
            f'{{"field":"service_token","error":"{word}"}}',
            f"span={rng.randrange(99)} author: {word} mapping={word}",
            f"design: {word}",
            f"expires_in={rng.randrange(9999)} token_type=bearer passwords_changed={rng.randrange(9)}",
            f"keyboard={word} monkey: {word}",
        ]
    )
