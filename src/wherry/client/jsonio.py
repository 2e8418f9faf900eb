"""JSON for a program that lives 40 ms.

``import json`` pulls in ``re`` and ``enum``: 10 to 15 ms, a third of what a command may cost. Its C scanner and C
encoder do not need them, so they are used directly; the ``json`` package is loaded only to explain broken input.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = " \t\n\r"


class _Rules:
    """What the C scanner reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012  the scanner clears it after each call

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"invalid character in JSON: {name}")


_scan: Any = _json.make_scanner(_Rules)  # type: ignore[arg-type]  # any object with these attributes serves


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode: Any = _json.make_encoder(None, _refuse, _json.encode_basestring, None, ":", ",", False, False, False)


def loads(text: bytes | str) -> Any:
    """Decode one JSON document. Raises ``ValueError``."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    document = text.strip(_SPACE)
    try:
        value, end = _scan(document, 0)
    except StopIteration:
        end = -1
    if end == len(document):
        return value
    import json  # noqa: PLC0415  only to explain broken input

    return json.loads(text)


def dumps(value: object) -> str:
    """Encode without spaces, keeping the order of keys. Text that is not Unicode becomes U+FFFD, as in Go."""
    text = "".join(_encode(value, 0))
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
