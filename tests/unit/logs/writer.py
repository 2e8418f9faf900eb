"""A writer of numbered lines that rotates its log as a shim does: in its own process, or step by step."""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path


def entry(text, stream="stdout", time_ns=None, attrs=None):
    """One line of a json-file log."""
    instant = time.time_ns() if time_ns is None else time_ns
    stamp = datetime.fromtimestamp(instant // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{instant % 10**9:09d}Z"
    document = {"log": text, "stream": stream, **({"attrs": attrs} if attrs else {}), "time": stamp}
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


class Writer:
    """Appends entries to ``path`` and keeps at most ``max_files`` files of about ``max_size`` bytes."""

    def __init__(self, path, max_size=-1, max_files=1, *, compress=False, truncate=False):
        self.path = Path(path)
        self.max_size, self.max_files, self.compress, self.truncate = max_size, max_files, compress, truncate
        self._open()

    def _open(self):
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def write(self, text, **fields):
        if 0 <= self.max_size <= os.fstat(self.fd).st_size:
            self.rotate()
        os.write(self.fd, entry(text, **fields))

    def rotate(self):
        if self.max_files == 1 and self.truncate:
            os.ftruncate(self.fd, 0)
            return
        os.close(self.fd)
        if self.max_files == 1:
            self.path.unlink()
        for number in range(self.max_files - 1, 1, -1):
            for suffix in ("", ".gz"):
                source = Path(f"{self.path}.{number - 1}{suffix}")
                if source.exists():
                    source.rename(f"{self.path}.{number}{suffix}")
        if self.max_files > 1:
            self.path.rename(f"{self.path}.1")
            if self.compress:
                plain = Path(f"{self.path}.1")
                Path(f"{self.path}.1.gz").write_bytes(gzip.compress(plain.read_bytes()))
                plain.unlink()
        self._open()

    def close(self):
        os.close(self.fd)


def main():
    path, count, max_size, max_files, compress, pause = sys.argv[1:]
    writer = Writer(path, int(max_size), int(max_files), compress=compress == "yes")
    for number in range(int(count)):
        writer.write(f"{number}\n")
        time.sleep(float(pause))


if __name__ == "__main__":
    main()
