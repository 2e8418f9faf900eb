"""What a crash has left of a download, kept so that the next pull of the same blob goes on from there.

    <data-root>/content/ingest/<hex>.partial        the beginning of the blob sha256:<hex>, not verified

Only a daemon that was killed leaves one: a download that failed, or whose client hung up, takes its file away. A
partial is hashed again before it is continued, so that what a power failure tore in it is found at the end. It goes
when it is old, and so do all when together they are large: then none of them is a few minutes' work.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wherry.lib.clock import now_ns
from wherry.oci.digest import Digest, encoded, is_digest

SUFFIX = ".partial"
AGE_MAX_NS = 24 * 3600 * 1_000_000_000
TOTAL_MAX = 10 * 1024**3
"""Bytes; of the partials that one start-up keeps."""


def partial_path(ingest: Path, digest: Digest) -> Path:
    """Where the partial download of ``digest`` is, or would be."""
    return ingest / f"{encoded(digest)}{SUFFIX}"


def kept(ingest: Path) -> dict[Path, int]:
    """The partial downloads that are young and small enough to be kept, youngest first, with their bytes on disk."""
    found = []
    oldest = now_ns() - AGE_MAX_NS
    for path in ingest.iterdir():
        if not path.name.endswith(SUFFIX) or not is_digest(f"sha256:{path.name.removesuffix(SUFFIX)}"):
            continue
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(path)
            if status.st_size and status.st_mtime_ns >= oldest:
                found.append((status.st_mtime_ns, path, status.st_blocks * 512))
    total = 0
    partials: dict[Path, int] = {}
    for _, path, size in sorted(found, reverse=True):
        total += size
        if total > TOTAL_MAX:
            break
        partials[path] = size
    return partials
