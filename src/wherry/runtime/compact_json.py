"""JSON by ``_json``, the C part of ``json``, which all alone is what a shim needs.

``json.loads`` runs a regular expression over the text first: its modules would be copied into every shim.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Context:
    """What ``_json`` asks its owner for: the defaults of json.JSONDecoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012  not used by the C scanner


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


_scan = _json.make_scanner(_Context)  # type: ignore[arg-type]  # the stub wants another scanner; any object does
_encode = _json.make_encoder(None, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False)


def loads(data: bytes) -> Any:
    """The value of a JSON text that starts with it: files and messages of our own. Raises ValueError."""
    try:
        value, _ = _scan(data.decode(), 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    return value


def dumps(value: object) -> bytes:
    """``value`` as JSON, without spaces."""
    return "".join(_encode(value, 0)).encode()
