"""A layer's tar packed on its way out: read ‖ check ‖ gzip in a thread of its own, while the caller hashes and sends.

The same tar gives the same bytes: no name, no time, one level. isal lets go of the interpreter's lock while it packs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from functools import partial

from isal import isal_zlib

from wherry.diff.compression import CHUNK, Readable, Unpacked
from wherry.diff.errors import Stopped
from wherry.lib.errors import Internal
from wherry.transfer.threads import read_ahead

LEVEL = 2
"""Of isal's four: half the size of the fastest one's gap to zlib's default, at twice the speed of the next."""
_WBITS_GZIP = 31


class Damaged(Internal):
    """The blob here is not the layer that it should be."""


Advance = Callable[[int], None]
"""Told how many bytes of the tar have been read so far; called from a thread."""


def packed(
    raw: Readable, *, diff_id: str, advance: Advance, stopped: Callable[[], bool] = lambda: False
) -> Generator[bytes, None, None]:
    """The gzip of the tar that ``raw`` is or unpacks to, piece by piece.

    Raises Damaged, before the last piece, when the tar is not ``diff_id``; BadArchive, OSError, Stopped.
    """
    return read_ahead(partial(next, _pack(raw, diff_id, advance, stopped), b""))


def _pack(raw: Readable, diff_id: str, advance: Advance, stopped: Callable[[], bool]) -> Generator[bytes, None, None]:
    unpacked = Unpacked(raw)
    digest = hashlib.sha256()
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _WBITS_GZIP)
    count = 0
    while data := unpacked.read(CHUNK):
        if stopped():
            raise Stopped
        digest.update(data)
        count += len(data)
        if piece := packer.compress(data):
            yield piece
        advance(count)
    if f"sha256:{digest.hexdigest()}" != diff_id:
        raise Damaged(f"layer {diff_id} is damaged")
    yield packer.flush()
