"""The same commands say the same, against a real dockerd and against us (Shows 2).

Skipped, with the reason, when there is no dockerd to compare with. What differs for a reason is listed in
``support/differences.py``, from which docs/differences.md is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.comparison import SCENARIOS, Names, answer, comparable
from support.daemons import Daemon


@pytest.fixture
def both(daemon: Daemon, reference: Daemon, busybox_tar: bytes) -> Iterator[tuple[Daemon, Daemon]]:
    """Ours and the reference, each empty but for busybox."""
    for each in (daemon, reference):
        each.docker("load", input=busybox_tar)
        each.clear_images()
    yield daemon, reference
    for each in (daemon, reference):
        each.clear()
        each.docker("load", input=busybox_tar)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_answers(both: tuple[Daemon, Daemon], scenario: str) -> None:
    """Exit code, standard output and standard error of every command of the scenario."""
    ours, reference = both
    our_names, their_names = Names(ours), Names(reference)
    differing = []
    for line in SCENARIOS[scenario]:
        mine = comparable(answer(ours, line, our_names), line)
        theirs = comparable(answer(reference, line, their_names), line)
        if mine != theirs:
            differing.append(
                f"docker {line}\n"
                f"    reference {theirs.code} {theirs.stdout!r} {theirs.stderr!r}\n"
                f"    ours      {mine.code} {mine.stdout!r} {mine.stderr!r}"
            )
    assert not differing, f"{len(differing)} of {len(SCENARIOS[scenario])} differ:\n" + "\n".join(differing)


def missing(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Fields of the reference's document that ours lacks or has with another type; null says nothing of a type."""
    if theirs is None:
        return []
    if kind(theirs) is not kind(ours):
        return [f"{path} should be {kind(theirs).__name__}, is {ours!r}"]
    if isinstance(theirs, dict):
        return [line for key, value in theirs.items() for line in missing_key(key, value, ours, path)]
    if isinstance(theirs, list) and theirs and ours:
        mine = next((item for item in ours if named(item) == named(theirs[0])), ours[0])
        return missing(theirs[0], mine, f"{path}[0]")
    return []


def missing_key(key: str, value: Any, ours: dict[str, Any], path: str) -> list[str]:
    if re.fullmatch("[0-9a-f]{64}", key):  # a map by id: compare what stands under any
        return missing(value, next(iter(ours.values()), value), f"{path}[id]")
    if key not in ours:
        return [f"{path}.{key} is missing (reference: {value!r})"]
    return missing(value, ours[key], f"{path}.{key}")


def kind(item: Any) -> type:
    """The JSON type; numbers are one type, and not booleans."""
    return float if isinstance(item, int | float) and not isinstance(item, bool) else type(item)


def named(item: Any) -> Any:
    """An object's name, by which lists in any order are matched."""
    return item.get("Name", item) if isinstance(item, dict) else item


# Fields of API 1.41 that a later version took away, or that only the reference's own parts have.
GONE = (
    ".Commits", ".ContainerdCommit", ".RuncCommit", ".InitCommit", ".ClusterAdvertise", ".ClusterStore",
    ".KernelMemory", ".GraphDriver.Data", ".Components", ".KernelMemoryTCP", ".MinAPIVersion", ".Runtimes", ".Swarm",
    ".RegistryConfig",
    ".HostConfig.KernelMemory", ".Networks.map", ".ContainerConfig", ".Container", ".DockerVersion", ".VirtualSize",
    ".BuilderSize", ".LayersSize", ".BuildTime", ".GitCommit", ".GoVersion", ".IndexServerAddress", ".HttpProxy",
)  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "/containers/up/json",
        "/containers/over/json",
        "/containers/json?all=1",
        "/images/json",
        "/images/busybox/json",
        "/images/busybox/history",
        "/networks",
        "/networks/bridge",
        "/volumes",
        "/volumes/data",
        "/info",
        "/version",
        "/system/df",
        "/containers/up/stats?stream=0",
        "/containers/up/top",
    ],
)
def test_every_field_of_the_reference_is_there(both: tuple[Daemon, Daemon], url: str) -> None:
    """A tool that reads a field of Docker's answer finds it in ours, with the same type."""
    answers = []
    for each in both:
        each.docker("run", "-d", "--name", "up", "-p", "8081:80", "-v", "data:/d", "busybox", "sleep", "60")
        each.docker("run", "--name", "over", "busybox", "false", check=False)
        got = each.api("GET", f"/v1.41{url}")
        assert got.status == 200, got.body
        answers.append(got.json())
    ours, theirs = answers
    lacking = [
        line
        for line in missing(theirs, ours)
        if not any(line.split()[0].endswith(gone) or f"{gone}." in line for gone in GONE)
    ]
    assert not lacking, "\n".join(lacking)
