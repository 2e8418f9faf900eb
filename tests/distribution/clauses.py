"""The clauses of the OCI distribution-spec that this set checks: a marker on each test, and the table made of them.

A clause is one demand of the specification: the section where it stands, how strongly it is made and what it asks for,
in our own words::

    @clause("deleting-tags", MUST, "a deleted tag is answered 404")
    def test_...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

SPECIFICATION = "https://github.com/opencontainers/distribution-spec/blob/v1.1.1"
DOCUMENT = "spec.md"

MUST, MUST_NOT, SHOULD, SHOULD_NOT, MAY, DEFINED = "MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "defined"
"""The strength of a demand; ``defined``: the text says what something is without one of the words."""

WORKFLOWS = {
    "Pull": ("pulling-manifests", "pulling-blobs", "checking-if-content-exists-in-the-registry"),
    "Push": (
        *("push", "post-then-put", "single-post", "pushing-a-blob-in-chunks"),
        *("mounting-a-blob-from-another-repository", "pushing-manifests", "pushing-manifests-with-subject"),
    ),
    "Content Discovery": ("listing-tags", "listing-referrers", "enabling-the-referrers-api"),
    "Content Management": ("deleting-tags", "deleting-manifests", "deleting-blobs"),
    "API": ("determining-support", "endpoints", "error-codes"),
}
"""The specification's workflow categories, and what all of them share; sections in the order of the table."""
SECTIONS = {DOCUMENT: tuple(section for sections in WORKFLOWS.values() for section in sections)}


@dataclass(frozen=True)
class Clause:
    """One demand."""

    section: str
    level: str
    says: str

    def __post_init__(self) -> None:
        if self.section not in SECTIONS[DOCUMENT]:
            raise ValueError(f"the specification has no section {self.section}")

    @property
    def document(self) -> str:
        return DOCUMENT

    @property
    def where(self) -> str:
        return f"{DOCUMENT}#{self.section}"


def clause(section: str, level: str, says: str) -> pytest.MarkDecorator:
    """The marker that says which demand a test checks."""
    return pytest.mark.clause(Clause(section, level, says))


def clauses_of(item: pytest.Item) -> list[Clause]:
    """The demands that a collected test checks."""
    return [mark.args[0] for mark in item.iter_markers("clause")]


def table(items: Iterable[pytest.Item]) -> list[tuple[Clause, str]]:
    """Each clause with the name of its test, whichever the registry; ordered as the specification is."""
    order = {section: place for place, section in enumerate(SECTIONS[DOCUMENT])}
    rows = {(one, f"{item.path.name}::{item.originalname}"): None for item in items for one in clauses_of(item)}
    return sorted(rows, key=lambda row: order[row[0].section])
