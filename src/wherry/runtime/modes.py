"""The namespace modes of a HostConfig: ``host``, ``none``, ``private``, ``shareable``, ``container:<name or id>`` …"""

from __future__ import annotations

_CONTAINER = "container:"


def is_host(mode: str) -> bool:
    """Whether the host's own namespace is asked for."""
    return mode == "host"


def is_container(mode: str) -> bool:
    """Whether another container's namespace is asked for."""
    return mode.startswith(_CONTAINER)


def container_of(mode: str) -> str | None:
    """Whose namespace is asked for: a name or an id."""
    return mode.removeprefix(_CONTAINER) if is_container(mode) else None


def is_private_network(mode: str) -> bool:
    """Whether the container has a network namespace of its own, connected or not."""
    return not is_host(mode) and not is_container(mode)


def is_private_pid(mode: str) -> bool:
    """Whether the container has process ids of its own."""
    return not is_host(mode) and not is_container(mode)
