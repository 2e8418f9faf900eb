"""The attacker's tools: images, programs, and a look at what he is after."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import images
from support.daemons import Daemon

PT_INTERP = 3
NO_NETWORK = ("--network", "none")

EVIL = """\
import os, stat
path = "/proc/self/exe"
for how, attack in (
    ("chmod", lambda: os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))),
    ("xattr", lambda: os.setxattr(path, "user.attack", b"") or os.removexattr(path, "user.attack")),
    ("write", lambda: os.open(path, os.O_WRONLY)),
    ("truncate", lambda: os.truncate(path, os.stat(path).st_size)),
):
    try:
        attack()
        print(how, "DONE")
    except OSError as error:
        print(how, error.strerror)
"""
"""What an interpreter that was caught through /proc/self/exe tries: nothing that would hurt the host if it succeeds."""


@contextmanager
def loaded(daemon: Daemon, base: bytes, *layers: images.Tar, **config: Any) -> Iterator[str]:
    """An image of busybox and the attacker's layers, for the block."""
    name = f"attack-{os.urandom(4).hex()}:1"
    archive = images.docker_archive([name], [base, *(layer.bytes() for layer in layers)], **config)
    daemon.docker("load", input=archive)
    try:
        yield name
    finally:
        daemon.docker("rmi", "-f", name)


def engine_processes(daemon: Daemon) -> list[tuple[int, str]]:
    """Pid and name of the daemon, its zygote and its shims: ours, in the daemon's own network namespace."""
    box = os.stat(daemon.box.path).st_ino
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = (entry / "comm").read_text().strip()
            if name.startswith("wherry") and (entry / "ns/net").stat().st_ino == box:
                found.append((int(entry.name), name))
        except OSError:
            continue  # it has ended
    return found


def files_of(pids: Iterable[int]) -> set[Path]:
    """The interpreter and the libraries that these processes run from."""
    lines = [line.split(maxsplit=5) for pid in pids for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    found = {Path(fields[5]) for fields in lines if len(fields) == 6 and "x" in fields[1]}
    return {path for path in found if path.is_absolute() and path.is_file()}


def digests(paths: Iterable[Path]) -> dict[Path, str]:
    """What is in them, and how they may be used."""
    return {path: f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths}


def with_interpreter(name: str) -> bytes:
    """A dynamic program of the machine's whose ELF interpreter (PT_INTERP) is ``name``, which must be short."""
    program = shutil.which("env")
    assert program is not None
    data = bytearray(Path(program).read_bytes())
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for number in range(count):
        (kind,) = struct.unpack_from("<I", data, offset + number * size)
        if kind == PT_INTERP:
            (where,) = struct.unpack_from("<Q", data, offset + number * size + 8)
            (length,) = struct.unpack_from("<Q", data, offset + number * size + 32)
            assert len(name) < length
            data[where : where + length] = name.encode().ljust(length, b"\0")
            return bytes(data)
    raise AssertionError(f"{program} has no interpreter")
