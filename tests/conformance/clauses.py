"""The clauses of the OCI runtime-spec that this set checks: a marker on each test, and the table made of them.

A clause is one demand of the specification: where it stands (document and section), how strongly it is made (the
RFC 2119 word) and what it asks for, in our own words::

    @clause("runtime.md#delete", MUST, "a container that is not stopped is not deleted")
    def test_...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

SPECIFICATION = "https://github.com/opencontainers/runtime-spec/blob/v1.2.1"

MUST, MUST_NOT, SHOULD, SHOULD_NOT, MAY, DEFINED = "MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "defined"
"""The strength of a demand; ``defined``: the text says what a property means without one of the words."""

SECTIONS = {
    "bundle.md": ("container-format",),
    "runtime.md": (
        *("scope-of-a-container", "state", "lifecycle", "errors", "warnings"),
        *("query-state", "create", "start", "kill", "delete"),
    ),
    "runtime-linux.md": ("file-descriptors", "dev-symbolic-links"),
    "config.md": (
        *("specification-version", "root", "mounts", "linux-mount-options", "posix-platform-mounts", "process"),
        *("posix-process", "linux-process", "posix-platform-user", "hostname", "domainname"),
        *("posix-platform-hooks", "prestart", "createruntime-hooks", "createcontainer-hooks", "startcontainer-hooks"),
        *("poststart", "poststop", "annotations", "extensibility", "valid-values"),
    ),
    "config-linux.md": (
        *("default-filesystems", "namespaces", "user-namespace-mappings", "offset-for-time-namespace", "devices"),
        *("default-devices", "control-groups", "cgroups-path", "cgroup-ownership", "allowed-device-list", "memory"),
        *("cpu", "block-io", "huge-page-limits", "network", "pids", "rdma", "unified", "intelrdt", "sysctl", "seccomp"),
        *("the-container-process-state", "rootfs-mount-propagation", "masked-paths", "readonly-paths"),
        *("mount-label", "personality"),
    ),
    "features.md": ("specification-version", "hooks", "mount-options", "platform-specific-features", "annotations"),
    "features-linux.md": (
        *("namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intel-rdt", "mountextensions"),
    ),
    "glossary.md": ("json",),
}
"""Documents and their sections, in the order of the table."""


@dataclass(frozen=True)
class Clause:
    """One demand."""

    where: str
    level: str
    says: str

    def __post_init__(self) -> None:
        document, _, section = self.where.partition("#")
        if section not in SECTIONS.get(document, ()):
            raise ValueError(f"the specification has no section {self.where}")

    @property
    def document(self) -> str:
        return self.where.partition("#")[0]

    @property
    def place(self) -> tuple[int, int]:
        """Where the table lists it."""
        document, _, section = self.where.partition("#")
        return list(SECTIONS).index(document), SECTIONS[document].index(section)


def clause(where: str, level: str, says: str) -> pytest.MarkDecorator:
    """The marker that says which demand a test checks."""
    return pytest.mark.clause(Clause(where, level, says))


def case(*values: Any, where: str, level: str, says: str, id: str) -> Any:  # noqa: A002  pytest's word
    """One row of a parametrized test that has a clause of its own."""
    return pytest.param(*values, id=id, marks=clause(where, level, says))


def cases(where: str, level: str, *rows: tuple[Any, ...]) -> list[Any]:
    """Rows of a parametrized test, each with a clause of one section: id, what it says, then the values."""
    return [case(*values, where=where, level=level, says=says, id=name) for name, says, *values in rows]


def clauses_of(item: pytest.Item) -> list[Clause]:
    """The demands that a collected test checks."""
    return [mark.args[0] for mark in item.iter_markers("clause")]


def table(items: Iterable[pytest.Item]) -> list[tuple[Clause, str]]:
    """Each clause with the name of its test, ordered as the specification is."""
    rows = [(one, f"{item.path.name}::{item.name}") for item in items for one in clauses_of(item)]
    return sorted(rows, key=lambda row: row[0].place)
