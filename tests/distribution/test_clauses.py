"""The set as a whole: how many clauses it checks, and that the page about them says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from distribution.clauses import SECTIONS
from support.commands import PROJECT

LEAST = 100
"""Clauses that have to be checked."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """docs/registry-conformance.md as the markers would have it now."""
    path: Path = tmp_path_factory.mktemp("page") / "page.md"
    tool = str(PROJECT / "tools" / "conformance.py")
    subprocess.run([sys.executable, tool, str(path), "distribution"], check=True, timeout=50)
    return path.read_text()


def test_enough_clauses_are_checked(page: str) -> None:
    """At least 100 different demands, and some of every section."""
    found = re.search(r"^(\d+) clauses in", page, flags=re.MULTILINE)
    assert found
    assert int(found[1]) >= LEAST
    for section in SECTIONS["spec.md"]:
        assert f"#{section})" in page


def test_the_page_of_clauses_is_written_from_the_markers(page: str) -> None:
    """`make docs` has been run since a clause was last changed."""
    assert page == (PROJECT / "docs" / "registry-conformance.md").read_text()
