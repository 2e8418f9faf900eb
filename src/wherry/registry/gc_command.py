"""``wherry-registry garbage-collect``: a collection while no registry serves the storage."""

from __future__ import annotations

from wherry.registry.gc_sweep import Collected, Collector
from wherry.registry.storage import Driver
from wherry.registry.store import Store


def collect_offline(
    driver: Driver, *, dry_run: bool = False, delete_untagged: bool = False, quiet: bool = False, grace: float = 0.0
) -> Collected:
    """Collect, and print what is found in the words of Docker's registry. Raises what the storage raises."""
    collector = Collector(Store(driver), grace=grace)
    return collector.collect(dry_run=dry_run, delete_untagged=delete_untagged, report=_silent if quiet else _print)


def _print(line: str) -> None:
    print(line)  # noqa: T201 - a command's output


def _silent(_line: str) -> None:
    pass
