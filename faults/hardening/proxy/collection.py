"""All proxies of a server: create, update, populate, reset.

In: request bodies; out: proxies and toxics, or an ``ApiError`` with its status. Nothing waits but the resolution of
listening addresses.
"""

from __future__ import annotations

from typing import Any

from hardening.proxy import address
from hardening.proxy.body import ApiError, Fields, bad_body, parse
from hardening.proxy.proxy import Proxy
from hardening.toxics import TYPES, AttributeRefusedError, Draws, ToxicSpec

NOT_FOUND = "proxy not found"
INVALID_TYPE = "invalid toxic type"


def toxic_json(spec: ToxicSpec) -> dict[str, Any]:
    """A toxic as the API shows it."""
    return {
        "attributes": spec.attributes,
        "name": spec.name,
        "type": spec.kind.type,
        "stream": spec.stream,
        "toxicity": spec.toxicity,
    }


def proxy_json(proxy: Proxy) -> dict[str, Any]:
    """A proxy with its toxics as the API shows it."""
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        "toxics": [toxic_json(spec) for spec in proxy.toxics],
    }


def read_toxic(value: object, taken: set[str]) -> ToxicSpec:
    """A new toxic from its JSON object.

    Args:
        value: the parsed body.
        taken: names of the toxics that the proxy has.

    Raises:
        ApiError: 400 or 409.
    """
    fields = Fields(value)
    attributes = fields.table("attributes")
    name, kind_name = fields.text("name", ""), fields.text("type", "")
    stream, toxicity = fields.text("stream", "downstream"), fields.number("toxicity", 1.0)
    if stream.lower() not in {"upstream", "downstream"}:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    kind = TYPES.get(kind_name)
    if kind is None:
        raise ApiError(400, INVALID_TYPE)
    name = name or f"{kind_name}_{stream}"
    if name in taken:
        raise ApiError(409, "toxic already exists")
    try:
        return ToxicSpec(name, kind, stream, toxicity, kind.read_attributes(attributes))
    except AttributeRefusedError as error:
        raise bad_body(str(error)) from error


def read_toxics(values: list[Any]) -> list[ToxicSpec]:
    """The toxics of one proxy in a configuration.

    Raises:
        ApiError: 400 or 409.
    """
    specs: list[ToxicSpec] = []
    for number, value in enumerate(values, start=1):
        try:
            specs.append(read_toxic(value, {spec.name for spec in specs}))
        except ApiError as error:
            raise ApiError(error.status, f"{error.message} at toxic {number}{_type_hint(error, value)}") from error
    return specs


def _type_hint(error: ApiError, value: object) -> str:
    """A person who wrote a file cannot ask back: tell them the types there are."""
    if error.message != INVALID_TYPE:
        return ""
    return f" ({Fields(value).text('type', '')!r}, allowed: {', '.join(sorted(TYPES))})"


class Entry:
    """One proxy of a ``/populate`` body or a configuration file, checked; ``toxics`` is our addition."""

    def __init__(self, number: int, value: object) -> None:
        fields = Fields(value)
        self.name, self.upstream = fields.text("name", ""), fields.text("upstream", "")
        self.listen, self.enabled = fields.text("listen", ""), fields.flag("enabled", True)
        for field, given in (("name", self.name), ("upstream", self.upstream)):
            if not given:
                raise ApiError(400, f"missing required field: {field} at proxy {number}")
        try:
            self.toxics = read_toxics(fields.rows("toxics"))
        except ApiError as error:
            raise ApiError(error.status, f"{error.message} of proxy {self.name!r}") from error


class Collection:
    """The proxies of one server, by name.

    Addresses are resolved first (that may wait for a name server); what follows is one step on the event loop, so
    requests never see each other's half-done work.
    """

    def __init__(self, draws: Draws) -> None:
        self.proxies: dict[str, Proxy] = {}
        self._draws = draws

    def get(self, name: str) -> Proxy:
        """The proxy of that name.

        Raises:
            ApiError: 404.
        """
        if name not in self.proxies:
            raise ApiError(404, NOT_FOUND)
        return self.proxies[name]

    async def create(self, raw: bytes) -> Proxy:
        """Add a proxy, enabled unless the body says false.

        Raises:
            ApiError: 400, 409, or 500 when it cannot listen.
        """
        fields = Fields(parse(raw))
        name, upstream = fields.text("name", ""), fields.text("upstream", "")
        listen, is_enabled = fields.text("listen", ""), fields.flag("enabled", True)
        toxics = read_toxics(fields.rows("toxics"))
        for field, given in (("name", name), ("upstream", upstream)):
            if not given:
                raise ApiError(400, f"missing required field: {field}")
        if name in self.proxies:
            raise ApiError(409, "proxy already exists")
        resolved = await _resolve_listen(listen) if is_enabled else None
        if name in self.proxies:
            raise ApiError(409, "proxy already exists")
        return self._put(Proxy(name, listen, upstream, self._draws), toxics, resolved)

    def _put(self, proxy: Proxy, toxics: list[ToxicSpec], resolved: address.Resolved | None) -> Proxy:
        for spec in toxics:
            proxy.add_toxic(spec)
        if resolved is not None:
            _start(proxy, resolved)
        self.proxies[proxy.name] = proxy
        return proxy

    async def update(self, name: str, raw: bytes) -> Proxy:
        """Change listen, upstream or enabled; the listener restarts only when an address really differs.

        Raises:
            ApiError: 400, 404, or 500 when an address is no good.
        """
        proxy = self.get(name)
        fields = Fields(parse(raw))
        fields.text("name", "")  # ignored, but it must be a string
        upstream = fields.text("upstream", proxy.upstream)
        listen, is_enabled = fields.text("listen", proxy.listen), fields.flag("enabled", proxy.enabled)
        resolved = await _resolve_listen(listen, "")
        if self.get(name) is not proxy:
            raise ApiError(404, NOT_FOUND)
        if _compared(listen, resolved) != proxy.listen or upstream != proxy.upstream:
            proxy.stop()
            proxy.listen, proxy.upstream = listen, upstream
        if is_enabled and not proxy.enabled:
            _start(proxy, resolved)
        elif not is_enabled:
            proxy.stop()
        return proxy

    def remove(self, name: str) -> None:
        """Stop and forget a proxy.

        Raises:
            ApiError: 404.
        """
        self.get(name).stop()
        del self.proxies[name]

    async def populate(self, raw: bytes) -> tuple[list[Proxy], ApiError | None]:
        """Create or replace several. What was made before an error stays, and is returned with it."""
        try:
            rows = parse(raw)
            if rows is not None and not isinstance(rows, list):
                raise bad_body("an array of proxies is wanted")
            entries = [Entry(number, row) for number, row in enumerate(rows or [], start=1)]
        except ApiError as error:
            return [], error
        done: list[Proxy] = []
        for entry in entries:
            try:
                done.append(await self._add_or_replace(entry))
            except ApiError as error:
                return done, error
        return done, None

    async def _add_or_replace(self, entry: Entry) -> Proxy:
        # Toxiproxy compares with a known proxy first, and words the same fault differently there.
        is_known = entry.name in self.proxies
        prefix = "" if is_known else "listen tcp: "
        resolved = await _resolve_listen(entry.listen, prefix) if is_known or entry.enabled else None
        existing = self.proxies.get(entry.name)
        if existing is not None and resolved is not None:
            if _compared(entry.listen, resolved) == existing.listen and existing.upstream == entry.upstream:
                return existing
            existing.stop()
        proxy = Proxy(entry.name, entry.listen, entry.upstream, self._draws)
        return self._put(proxy, entry.toxics, resolved if entry.enabled else None)

    async def reset(self) -> None:
        """Enable every proxy and remove all toxics; one that cannot be enabled does not keep others from it.

        Raises:
            ApiError: 500 with the first proxy's reason.
        """
        first: ApiError | None = None
        for proxy in list(self.proxies.values()):
            try:
                if not proxy.enabled:
                    _start(proxy, await _resolve_listen(proxy.listen))
            except ApiError as error:
                first = first or error
            for spec in proxy.toxics:
                proxy.remove_toxic(spec)
        if first is not None:
            raise first

    def add_toxic(self, name: str, raw: bytes) -> ToxicSpec:
        """Add a toxic to a proxy.

        Raises:
            ApiError: 400, 404 or 409.
        """
        proxy = self.get(name)
        spec = read_toxic(parse(raw), {spec.name for spec in proxy.toxics})
        proxy.add_toxic(spec)
        return spec

    def toxic(self, name: str, toxic_name: str) -> ToxicSpec:
        """A toxic of a proxy.

        Raises:
            ApiError: 404.
        """
        spec = self.get(name).toxic(toxic_name)
        if spec is None:
            raise ApiError(404, "toxic not found")
        return spec

    def update_toxic(self, name: str, toxic_name: str, raw: bytes) -> ToxicSpec:
        """Merge attributes and toxicity; nothing changes when one of them is refused.

        Raises:
            ApiError: 400 or 404.
        """
        spec = self.toxic(name, toxic_name)
        fields = Fields(parse(raw))
        toxicity = fields.number("toxicity", spec.toxicity)
        try:
            attributes = spec.kind.read_attributes(fields.table("attributes"), spec.attributes)
        except AttributeRefusedError as error:
            raise bad_body(str(error)) from error
        spec.attributes, spec.toxicity = attributes, toxicity
        self.get(name).update_toxic(spec)
        return spec

    def remove_toxic(self, name: str, toxic_name: str) -> None:
        """Remove a toxic.

        Raises:
            ApiError: 404.
        """
        self.get(name).remove_toxic(self.toxic(name, toxic_name))

    async def close(self) -> None:
        """Stop all proxies and wait for their dials to be gone."""
        for proxy in self.proxies.values():
            proxy.stop()
        for proxy in self.proxies.values():
            await proxy.closed()


async def _resolve_listen(listen: str, prefix: str = "listen tcp: ") -> address.Resolved:
    try:
        return await address.resolve(listen)
    except address.AddressError as error:
        raise ApiError(500, f"{prefix}{error}") from error


def _compared(listen: str, resolved: address.Resolved) -> str:
    """An address as Toxiproxy compares it: an empty one is ``:0`` there, whatever we bind in its place."""
    return address.written(resolved) if listen else ":0"


def _start(proxy: Proxy, resolved: address.Resolved) -> None:
    try:
        proxy.start(resolved)
    except address.AddressError as error:
        raise ApiError(500, str(error)) from error
