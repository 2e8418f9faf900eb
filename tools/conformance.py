"""Write a page about a conformance set from the set's own markers: ``conformance.py PAGE [runtime|distribution]``."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
sys.path[0] = str(PROJECT / "tests")  # in place of tools/, where this file has the name of a set

RUNTIME_HEAD = """\
<!-- Written by `make docs` from the markers in tests/conformance/; change it there. -->

# The clauses of the OCI runtime-spec that are checked

`tests/conformance/` reads the runtime-spec clause by clause and drives `wherry-oci` as a command, with bundles of its
own. The words are ours; the links lead to the text. `WHERRY_TEST_RUNTIME=/usr/sbin/runc make test
PYTEST_ARGS=tests/conformance` runs the same set on another runtime.

"""
DISTRIBUTION_HEAD = """\
<!-- Written by `make docs` from the markers in tests/distribution/; change it there. -->

# The clauses of the OCI distribution-spec that are checked

`tests/distribution/` reads the distribution-spec clause by clause and asks `wherry-registry` and Debian's
`docker-registry` over HTTP. The words are ours; the links lead to the text.
`WHERRY_TEST_REGISTRY_URL=http://host:5000 make test PYTEST_ARGS=tests/distribution` asks another registry too.

"""


@dataclass(frozen=True)
class Pages:
    """A set and what stands around its table."""

    package: str
    head: str
    kind: str
    """What departs from a clause: a runtime or a registry."""
    kinds: str
    """More than one of them."""

    @property
    def clauses(self) -> Any:
        return importlib.import_module(f"{self.package}.clauses")

    @property
    def departures(self) -> dict[tuple[str, str], dict[str, str]]:
        return importlib.import_module(f"{self.package}.departures").DEPARTURES


SETS = {
    "runtime": Pages("conformance", RUNTIME_HEAD, "runtime", "runtimes"),
    "distribution": Pages("distribution", DISTRIBUTION_HEAD, "registry", "registries"),
}


class Collected:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def collect(pages: Pages) -> list[tuple[Any, str]]:
    """Every clause with the test that checks it. Raises RuntimeError when the tests cannot be collected."""
    plugin = Collected()
    words = ["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", str(PROJECT)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main([*words, str(PROJECT / "tests" / pages.package)], plugins=[plugin])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the conformance set cannot be collected:\n{said.getvalue()}")
    return pages.clauses.table(plugin.items)


def distinct(rows: list[tuple[Any, str]]) -> dict[Any, list[str]]:
    """The tests of each clause; a clause that several inputs check is one."""
    found: dict[Any, list[str]] = {}
    for clause, test in rows:
        found.setdefault(clause, []).append(test)
    return found


def page(pages: Pages, clauses: dict[Any, list[str]]) -> str:
    """The whole page."""
    specification = pages.clauses.SPECIFICATION
    lines = [f"{len(clauses)} clauses in {sum(map(len, clauses.values()))} tests."]
    for document, sections in pages.clauses.SECTIONS.items():
        here = {clause: tests for clause, tests in clauses.items() if clause.document == document}
        if here:
            lines += ["", f"## {document} ({len(here)})"]
        for section in sections:
            rows = [(clause, tests) for clause, tests in here.items() if clause.where == f"{document}#{section}"]
            if rows:
                lines += ["", f"[{section}]({specification}/{document}#{section})", ""]
                lines += ["| demand | what it says | test |", "| --- | --- | --- |"]
                lines += [f"| {clause.level} | {clause.says} | `{tests[0]}`{_more(tests)} |" for clause, tests in rows]
    return pages.head + "\n".join(lines) + "\n" + _departures(pages)


def _more(tests: list[str]) -> str:
    return f" and {len(tests) - 1} more" if len(tests) > 1 else ""


def _departures(pages: Pages) -> str:
    """Where programs are known to do otherwise."""
    lines = ["", f"## Where {pages.kinds} do otherwise", ""]
    lines += [f"| {pages.kind} | test | what it does |", "| --- | --- | --- |"]
    for (name, version), known in pages.departures.items():
        lines += [f"| {name} {version or '(all)'} | `{test}` | {reason} |" for test, reason in known.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    which = SETS[sys.argv[2] if len(sys.argv) > 2 else "runtime"]
    Path(sys.argv[1]).write_text(page(which, distinct(collect(which))), encoding="utf-8")
