"""Fixtures of the conformance set: each test runs on our registry and on Debian's ``docker-registry``.

``WHERRY_TEST_REGISTRY_URL=http://host:5000`` adds a registry that runs already; deletion must be enabled there.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribution.client import Client, Repository
from distribution.departures import departures
from support.commands import find
from support.registries import Registry

HERE = Path(__file__).parent
OURS, DOCKER, OTHER = "wherry-registry", "docker-registry", "other"
URL = os.environ.get("WHERRY_TEST_REGISTRY_URL", "")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause(one): the demand of the specification that this test checks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Known departures are expected failures."""
    if config.option.collectonly:
        return
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if item.path.parent != HERE or "client" not in parameters:
            continue
        name = parameters["client"]
        known = departures(name)
        where = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        case = item.callspec.id.removeprefix(name).removeprefix("-")
        if reason := known.get(where) or known.get(f"{where}[{case}]"):
            item.add_marker(pytest.mark.xfail(reason=f"{name}: {reason}"))


class Served(Registry):
    """One of the two programs, with deletion enabled."""

    def __init__(self, program: list[str]) -> None:
        super().__init__()
        self._program = [*program, "serve"]


@pytest.fixture(scope="session", params=[OURS, DOCKER, *([OTHER] if URL else [])])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of the registry under test."""
    if request.param == OTHER:
        yield Client(URL)
        return
    program = [sys.executable, "-m", "wherry.registry.main"]
    if request.param == DOCKER:
        found = find(DOCKER)
        if found is None:
            pytest.skip("needs Debian's docker-registry")
        program = [found]
    with Served(program) as registry:
        yield Client(registry.url)


@pytest.fixture
def repository(client: Client) -> Repository:
    """A repository that nobody has used."""
    return client.repository(f"conformance/{uuid.uuid4().hex[:12]}")


@pytest.fixture
def other(client: Client) -> Repository:
    """A second one."""
    return client.repository(f"conformance/{uuid.uuid4().hex[:12]}")
