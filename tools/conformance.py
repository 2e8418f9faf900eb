"""Write docs/conformance.md from the conformance set's own markers: ``tools/conformance.py PAGE``."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
sys.path[0] = str(PROJECT / "tests")  # in place of tools/, where this file has the name of the set

from conformance.clauses import SECTIONS, SPECIFICATION, Clause, table  # noqa: E402  it lives with the tests
from conformance.departures import DEPARTURES  # noqa: E402

HEAD = """\
<!-- Written by `make docs` from the markers in tests/conformance/; change it there. -->

# The clauses of the OCI runtime-spec that are checked

`tests/conformance/` reads the runtime-spec clause by clause and drives `wherry-oci` as a command, with bundles of its
own. The words are ours; the links lead to the text. `WHERRY_TEST_RUNTIME=/usr/sbin/runc make test
PYTEST_ARGS=tests/conformance` runs the same set on another runtime.

"""


class Collected:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def collect() -> list[tuple[Clause, str]]:
    """Every clause with the test that checks it. Raises RuntimeError when the tests cannot be collected."""
    plugin = Collected()
    words = ["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", str(PROJECT)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main([*words, str(PROJECT / "tests" / "conformance")], plugins=[plugin])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the conformance set cannot be collected:\n{said.getvalue()}")
    return table(plugin.items)


def distinct(rows: list[tuple[Clause, str]]) -> dict[Clause, list[str]]:
    """The tests of each clause; a clause that several inputs check is one."""
    found: dict[Clause, list[str]] = {}
    for clause, test in rows:
        found.setdefault(clause, []).append(test)
    return found


def page(clauses: dict[Clause, list[str]]) -> str:
    """The whole page."""
    lines = [f"{len(clauses)} clauses in {sum(map(len, clauses.values()))} tests."]
    for document, sections in SECTIONS.items():
        here = {clause: tests for clause, tests in clauses.items() if clause.document == document}
        if here:
            lines += ["", f"## {document} ({len(here)})"]
        for section in sections:
            rows = [(clause, tests) for clause, tests in here.items() if clause.where == f"{document}#{section}"]
            if rows:
                lines += ["", f"[{section}]({SPECIFICATION}/{document}#{section})", ""]
                lines += ["| demand | what it says | test |", "| --- | --- | --- |"]
                lines += [f"| {clause.level} | {clause.says} | `{tests[0]}`{_more(tests)} |" for clause, tests in rows]
    return HEAD + "\n".join(lines) + "\n" + _departures()


def _more(tests: list[str]) -> str:
    return f" and {len(tests) - 1} more" if len(tests) > 1 else ""


def _departures() -> str:
    """Where runtimes are known to do otherwise."""
    lines = ["", "## Where runtimes do otherwise", "", "| runtime | test | what it does |", "| --- | --- | --- |"]
    for (name, version), known in DEPARTURES.items():
        lines += [f"| {name} {version or '(all)'} | `{test}` | {reason} |" for test, reason in known.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(distinct(collect())), encoding="utf-8")
