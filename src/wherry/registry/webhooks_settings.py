"""Who is to be told of events: ``notifications`` of the configuration, by the keys of Docker's registry.

    events: {includereferences: false}
    endpoints:
      - {name, url, disabled: false, headers: {…}, timeout: 1s, threshold: 10, backoff: 1s,
         ignoredmediatypes: […], ignore: {mediatypes: […], actions: […]}, queue: 10000}

``queue`` is beyond Docker's: so many events wait for an endpoint that does not answer, then the oldest are lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wherry.lib.errors import InvalidArgument
from wherry.registry.options import Options, flag, headers, needed, number, seconds, section, sections, strings

WHERE = "notifications"
QUEUE = 10_000


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """One endpoint; times in seconds."""

    name: str
    url: str
    host: str
    port: int | None
    tls: bool
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 1.0
    threshold: int = 10
    """So many failures in a row, and every further attempt comes ``backoff`` later."""
    backoff: float = 1.0
    ignored_types: frozenset[str] = frozenset()
    ignored_actions: frozenset[str] = frozenset()
    queue: int = QUEUE


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """All of them."""

    endpoints: tuple[EndpointSettings, ...] = ()
    references: bool = False


def parse_webhooks(options: Options) -> WebhookSettings:
    """The settings that ``notifications`` describes, without disabled endpoints. Raises InvalidArgument."""
    found = [_endpoint(one) for one in sections(WHERE, options, "endpoints") if not flag(WHERE, one, "disabled")]
    references = flag(WHERE, section(WHERE, options, "events"), "includereferences")
    return WebhookSettings(endpoints=tuple(found), references=references)


def _endpoint(options: Options) -> EndpointSettings:
    name, url = needed(WHERE, options, "name"), needed(WHERE, options, "url")
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InvalidArgument(f"{WHERE}: {name}: {url!r} is no address to send to")
    ignore = section(WHERE, options, "ignore")
    return EndpointSettings(
        name=name,
        url=url,
        host=parts.hostname,
        port=port,
        tls=parts.scheme == "https",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=headers(WHERE, options),
        timeout=seconds(WHERE, options, "timeout", 0) or 1.0,
        threshold=number(WHERE, options, "threshold", 10),
        backoff=seconds(WHERE, options, "backoff", 0) or 1.0,
        ignored_types=frozenset((*strings(WHERE, options, "ignoredmediatypes"), *strings(WHERE, ignore, "mediatypes"))),
        ignored_actions=frozenset(strings(WHERE, ignore, "actions")),
        queue=number(WHERE, options, "queue", QUEUE),
    )
