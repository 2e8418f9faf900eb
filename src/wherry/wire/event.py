"""Events as the Engine API streams them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wherry.wire.base import Wire


class EventActor(Wire, frozen=True, kw_only=True):
    """What the event is about: its id (a name for volumes) and what is worth knowing of it."""

    id: str = msgspec.field(name="ID")
    attributes: Mapping[str, str]


class EventMessage(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """One event.

    ``status``, ``id`` and ``from`` repeat it for clients older than API 1.22, and only for containers and images.
    """

    status: str = msgspec.field(name="status", default="")
    id: str = msgspec.field(name="id", default="")
    from_: str = msgspec.field(name="from", default="")
    type: str
    action: str
    actor: EventActor
    scope: str = msgspec.field(name="scope")
    time: int = msgspec.field(name="time")
    time_nano: int = msgspec.field(name="timeNano")
