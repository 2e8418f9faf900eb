"""An event as endpoints get it: the envelope of Docker's registry ("Notifications"), one event in each.

{"events": [{"id": …, "timestamp": …, "action": "push",
"target": {"mediaType", "digest", "size", "length", "repository", "url", "tag", "references", …},
"request": {"id", "addr", "host", "method", "useragent"}, "actor": {"name"}, "source": {"addr", "instanceID"}}]}
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from wherry.lib.clock import now_ns, rfc3339
from wherry.registry.hooks import DELETE, Event

MEDIA_TYPE = "application/vnd.docker.distribution.events.v1+json"


def make_envelope(event: Event, *, source: str, instance: str, references: bool) -> bytes:
    """The JSON of an event; ``source`` is this registry's address, ``references``: with what a manifest names."""
    record: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "timestamp": rfc3339(now_ns()),
        "action": event.action,
        "target": _target(event, references=references),
        "request": _request(event),
        "actor": {"name": event.request.user} if event.request is not None and event.request.user else {},
        "source": {"addr": source, "instanceID": instance},
    }
    return msgspec.json.encode({"events": [record]})


def _target(event: Event, *, references: bool) -> dict[str, Any]:
    deleted = event.action == DELETE
    target = {
        "mediaType": "" if deleted else event.media_type,
        "size": event.size,
        "digest": event.digest,
        "length": event.size,
        "repository": event.repository,
        "fromRepository": event.from_repository,
        "url": event.url,
        "tag": event.tag,
        "references": [_bare(one) for one in event.references] if references else (),
    }
    return {name: value for name, value in target.items() if value}


def _bare(descriptor: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in descriptor.items() if value is not None}


def _request(event: Event) -> dict[str, str]:
    request = event.request
    if request is None:
        return {"id": "", "method": "", "useragent": ""}
    return {
        "id": request.identifier,
        "addr": request.client,
        "host": request.headers.get("host", ""),
        "method": request.method,
        "useragent": request.headers.get("user-agent", ""),
    }
