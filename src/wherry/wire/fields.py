"""Go's ``omitempty``, field by field.

A struct declared with ``omit_defaults=True`` leaves out a field that holds its default. The fields that dockerd always
sends are declared with :func:`always` there: msgspec never takes a value from a factory of ours for the default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

T = TypeVar("T")

STRING_OR_LIST = "string or list"
"""Marks a list that may also be written as one string."""

StrSlice = Annotated[list[str], msgspec.Meta(extra={STRING_OR_LIST: True})]
"""A list of strings that a client may write as one string (moby's strslice)."""


def always(make: Callable[[], T], name: str | None = None) -> T:
    """A field whose default is ``make()`` and which is written even when it holds that."""
    marker: Any = msgspec.field(default_factory=make, name=name)
    field: T = marker
    return field


def null() -> None:
    """The default of a list, map or pointer in Go."""
    return
