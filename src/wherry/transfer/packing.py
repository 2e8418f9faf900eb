"""A layer's tar packed on its way out: read ‖ check ‖ gzip in a thread of its own, while the caller hashes and sends.

The same tar gives the same bytes: no name, no time, one level. isal lets go of the interpreter's lock while it packs.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Generator

from isal import isal_zlib

from wherry.diff.compression import CHUNK, Readable, Unpacked
from wherry.diff.errors import Stopped
from wherry.lib.errors import Internal

LEVEL = 2
"""Of isal's four: half the size of the fastest one's gap to zlib's default, at twice the speed of the next."""
_WBITS_GZIP = 31
AHEAD = 4
"""Pieces that may wait for the sender."""


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
    pieces: queue.Queue[bytes | None] = queue.Queue(AHEAD)
    ended = threading.Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            for piece in _pack(raw, diff_id, advance, lambda: ended.is_set() or stopped()):
                _offer(pieces, piece, ended)
        except BaseException as error:  # noqa: BLE001 (raised again where the pieces are taken)
            failure.append(error)
        _offer(pieces, None, ended)

    thread = threading.Thread(target=work, name="layer-packing", daemon=True)
    thread.start()
    try:
        while (piece := pieces.get()) is not None:
            yield piece
        if failure:
            raise failure[0]
    finally:
        ended.set()
        thread.join()


def _offer(pieces: queue.Queue[bytes | None], piece: bytes | None, ended: threading.Event) -> None:
    """Put a piece down, or forget it once nobody takes any more."""
    while not ended.is_set():
        try:
            pieces.put(piece, timeout=0.1)
        except queue.Full:
            continue
        return


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
