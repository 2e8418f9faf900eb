"""The framing of stdout and stderr on one stream, for containers without a terminal.

 0        1  2  3   4        8
+--------+---------+--------+----------
| stream | 0  0  0 | length | payload …        length big-endian, stream 1 stdout, 2 stderr, 3 a message of ours
+--------+---------+--------+----------
"""

from __future__ import annotations

import struct

STDIN, STDOUT, STDERR, SYSTEM = range(4)

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

_HEADER = struct.Struct(">BxxxI")


def frame(stream: int, payload: bytes) -> bytes:
    """``payload`` as one frame."""
    return _HEADER.pack(stream, len(payload)) + payload
