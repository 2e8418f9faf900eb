"""Compiled seccomp programs on disk: loading one takes a fraction of a millisecond, compiling 18, libseccomp's own
loading apart.

A directory of the caller's own, one file a program, named by the caller's key:

    32 bytes    BLAKE2b of what follows
    a line      of which libseccomp it comes: path, size, time of modification
    the rest    the program

A file that does not verify, that is not ours or whose library has been replaced counts as missing. Imports os.
"""

from __future__ import annotations

import _blake2
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGEST = 32 + 1024 + 8 * 4096
_KEEP = 256
"""Programs that stay in a directory."""


def key(parts: Iterable[str]) -> str:
    """A file name for all that a program is made from."""
    return _digest("\n".join(parts).encode("utf-8", "surrogatepass")).hex()


def load(directory: str, name: str) -> bytes | None:
    """The program that was stored under ``name``, else None."""
    try:
        fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        data = os.read(fd, _LARGEST + 1) if status.st_uid == os.geteuid() and not status.st_mode & 0o022 else b""
    finally:
        os.close(fd)
    if len(data) < 32 or _digest(data[32:]) != data[:32]:
        return None
    library, _, program = data[32:].partition(b"\n")
    return program if library == _identity(library.partition(b"\0")[0]) else None


def store(directory: str, name: str, program: bytes, library: str) -> bool:
    """Keep ``program``, made by the libseccomp at ``library``; whether that went well.

    A cache that cannot be written (a full disk) costs time, and must not keep a container from starting.
    """
    body = _identity(library.encode()) + b"\n" + program
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _prune(directory)
        _write(f"{directory}/{name}", f"{directory}/.{name}.{os.getpid()}", _digest(body) + body)
    except OSError:
        return False
    return True


def _write(path: str, temporary: str, data: bytes) -> None:
    # Not synchronized: a torn file does not verify.
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def _digest(data: bytes) -> bytes:
    # hashlib would load OpenSSL for this.
    return _blake2.blake2b(data, digest_size=32).digest()


def _identity(path: bytes) -> bytes:
    try:
        status = os.stat(path)
    except OSError:
        return b""
    return b"%b\0%d\0%d" % (path, status.st_size, status.st_mtime_ns)


def _prune(directory: str) -> None:
    with os.scandir(directory) as entries:
        ages = sorted((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries)
    for _, path in ages[: max(0, len(ages) + 1 - _KEEP)]:
        os.unlink(path)
