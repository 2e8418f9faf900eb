"""The set as a whole: how many clauses it checks, and that the page about them says so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from conformance.clauses import SECTIONS
from support.commands import PROJECT

LEAST = 150
"""Clauses that have to be checked."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """docs/conformance.md as the markers would have it now."""
    path: Path = tmp_path_factory.mktemp("page") / "conformance.md"
    subprocess.run([sys.executable, str(PROJECT / "tools" / "conformance.py"), str(path)], check=True, timeout=50)
    return path.read_text()


def test_enough_clauses_are_checked(page: str) -> None:
    """At least 150 different demands, and some of every document."""
    rows = re.findall(r"^## (\S+\.md) \((\d+)\)$", page, flags=re.MULTILINE)
    counts = Counter({document: int(number) for document, number in rows})
    width = max(map(len, SECTIONS))
    print(*(f"{document:{width}} {counts[document]:4}" for document in SECTIONS), sep="\n")
    print(f"{'in all':{width}} {counts.total():4}")
    assert counts.total() >= LEAST
    assert set(counts) == set(SECTIONS)


def test_the_page_of_clauses_is_written_from_the_markers(page: str) -> None:
    """`make docs` has been run since a clause was last changed."""
    assert page == (PROJECT / "docs" / "conformance.md").read_text()
