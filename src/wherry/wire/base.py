"""How Engine API models are declared: frozen msgspec structs whose JSON names are Pascal case.

A name that Pascal casing would not give (``ID``, ``IPAddress``) is said with ``msgspec.field(name=…)``.
"""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A model of the Engine API. Unknown fields are ignored when read, as Docker does."""
