"""Which events a listener asked for, by the rules of dockerd.

``type`` and ``scope`` match exactly. ``container``, ``volume``, ``network`` and the other nouns match the beginning of
the actor's id or name, whatever the event's type. ``event`` matches exactly, but as a beginning if one of its values is
an action that carries a detail (``exec_create: sh``). ``image`` matches with and without the tag, and finds the events
of containers made from the image. Names that are not filters are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wherry.lib.filters import Filters

NOUNS = ("config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume")
DETAILED_ACTIONS = frozenset({"health_status", "exec_create", "exec_start"})

_TAG_OR_DIGEST = re.compile(r"(:[\w][\w.-]{0,127})?(@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?$")


class EventFilter:
    """The ``filters`` of one request for events."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters

    def matches(self, type_: str, action: str, actor: str, attributes: Mapping[str, str], scope: str) -> bool:
        """Whether the event is asked for."""
        if not self._filters:
            return True
        return (
            self._action(action)
            and self._exact("type", type_)
            and self._exact("scope", scope)
            and all(self._beginning(noun, actor, attributes.get("name", "")) for noun in NOUNS)
            and self._image(type_, actor, attributes)
            and self._filters.labels(attributes)
        )

    def _exact(self, name: str, *candidates: str) -> bool:
        wanted = self._filters.get(name)
        return not wanted or any(candidate in wanted for candidate in candidates)

    def _beginning(self, name: str, *candidates: str) -> bool:
        wanted = self._filters.get(name)
        return not wanted or any(candidate.startswith(wanted) for candidate in candidates)

    def _action(self, action: str) -> bool:
        if DETAILED_ACTIONS.isdisjoint(self._filters.get("event")):
            return self._exact("event", action)
        return self._beginning("event", action)

    def _image(self, type_: str, actor: str, attributes: Mapping[str, str]) -> bool:
        if not self._filters.get("image"):
            return True
        name = attributes.get("name" if type_ == "image" else "image", "")
        return self._exact("image", actor, name, without_tag(actor), without_tag(name))


def without_tag(image: str) -> str:
    """The image's name as a user writes it, without registry default, tag and digest."""
    repository = _TAG_OR_DIGEST.sub("", image, count=1)
    for default in ("docker.io/", "index.docker.io/"):
        if repository.startswith(default):
            return repository.removeprefix(default).removeprefix("library/")
    return repository
