"""What can be wrong with a layer.

InvalidArgument
└── BadArchive      not a tar, or one that asks for what cannot be done
    └── Truncated   it ends in the middle

The words are those of Go's archive/tar, which Docker shows.
"""

from __future__ import annotations

from wherry.lib.errors import InvalidArgument


class BadArchive(InvalidArgument):
    """A tar that cannot be read or applied."""

    def __init__(self, message: str = "archive/tar: invalid tar header") -> None:
        super().__init__(message)


class Truncated(BadArchive):
    """A stream that ends too early."""

    def __init__(self) -> None:
        super().__init__("unexpected EOF")


class Stopped(Exception):
    """The caller gave up and the work was abandoned."""
