"""Fixtures of the conformance set: the runtime under test, a yard for its containers, and the sum at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.bundle import BUSYBOX
from conformance.clauses import SECTIONS, clauses_of
from conformance.departures import departures
from conformance.runtime import Runtime
from conformance.yard import Scope, Yard

HERE = Path(__file__).parent
CHECKED = pytest.StashKey[dict[str, list[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause(one): the demand of the runtime-spec that this test checks")
    config.addinivalue_line("markers", "needs(key, value): skipped unless the runtime's features document says so")
    config.stash[CHECKED] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Known departures are expected failures; each clause is noted for the sum."""
    program = Runtime.chosen()
    mine = [item for item in items if item.path.parent == HERE]
    for item in mine:
        config.stash[CHECKED][item.nodeid] = [one.document for one in clauses_of(item)]
    if not program or config.option.collectonly:
        return
    runtime = Runtime(program, Path(os.devnull))
    known = departures(runtime.name, runtime.version)
    for item in mine:
        if reason := known.get(f"{item.path.name}::{item.name}"):
            item.add_marker(pytest.mark.xfail(reason=f"{runtime.name} {runtime.version}: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How many clauses of each document were checked, and how it went."""
    checked = config.stash.get(CHECKED, {})
    counts = {
        outcome: Counter(
            document
            for report in terminalreporter.stats.get(outcome, [])
            for document in checked.get(getattr(report, "nodeid", ""), [])
        )
        for outcome in ("passed", "failed", "error", "skipped", "xfailed")
    }
    if not any(counts.values()):
        return
    terminalreporter.section(f"clauses of the runtime-spec, checked on {' '.join(Runtime.chosen())}")
    rows = [(document, *(counts[outcome][document] for outcome in counts)) for document in SECTIONS]
    rows.append(("in all", *(counts[outcome].total() for outcome in counts)))
    for row in [("", *counts), *rows]:
        terminalreporter.write_line(f"{row[0]:20}" + "".join(f"{value:>9}" for value in row[1:]))


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    """The runtime under test, with a state directory of this run."""
    program = Runtime.chosen()
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not program or not BUSYBOX.exists():
        pytest.skip("needs a runtime (WHERRY_TEST_RUNTIME, or wherry-oci in .venv) and /bin/busybox")
    root = Path(tempfile.mkdtemp(prefix="wherry-conf-state-"))
    yield Runtime(program, root)
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def yard(runtime: Runtime) -> Iterator[Yard]:
    """The place of all containers; at its end nothing of them may be left."""
    directory = Path(tempfile.mkdtemp(prefix="wherry-conf-"))
    directory.chmod(0o755)  # a container's mapped root walks through it
    one = Yard(runtime, directory)
    yield one
    left = one.settled()
    one.clear()
    shutil.rmtree(directory)
    assert left == []


@pytest.fixture
def box(yard: Yard) -> Iterator[Scope]:
    """Makes containers that last as long as the test."""
    scope = Scope(yard)
    yield scope
    scope.close()


@pytest.fixture(scope="module")
def shared(yard: Yard) -> Iterator[Scope]:
    """Makes containers that several tests look at."""
    scope = Scope(yard)
    yield scope
    scope.close()


@pytest.fixture(autouse=True)
def _needed(request: pytest.FixtureRequest) -> None:
    """What a runtime says itself that it cannot do is skipped, loudly."""
    mark = request.node.get_closest_marker("needs")
    if mark is None:
        return
    runtime: Runtime = request.getfixturevalue("runtime")
    if runtime.features is None:
        return
    where, wanted = mark.args
    value: object = runtime.features
    for key in where.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if wanted is not value and wanted not in (value if isinstance(value, list) else []):
        pytest.skip(f"{runtime.name} {runtime.version} says in its features that it has no {where} {wanted}")
