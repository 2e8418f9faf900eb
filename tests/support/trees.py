"""Trees of files: made for tests, taken from the machine, and compared by everything that a layer keeps of them.

A tree is compared as ``facts``: one line a path, so that a difference can be read; ``digest`` is the short form.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

Facts = dict[bytes, str]
"""What is at a path below the top, in words."""

MTIME = 1_700_000_000
PER_DIRECTORY = 250
SHARES = ("usr/share", "usr/lib/python3", "usr/include", "usr/lib/x86_64-linux-gnu", "usr/bin", "etc")
"""Where a Debian has its files."""


def facts(top: Path, below: Iterable[str] = (".",)) -> Facts:
    """What lies at and below each of ``below`` in ``top``; names of the result are relative to ``top``."""
    links: dict[tuple[int, int], bytes] = {}
    found: Facts = {}
    for start in below:
        for path in _walk(os.path.join(os.fsencode(top), os.fsencode(start))):
            name = os.path.relpath(path, os.fsencode(top))
            found[name] = _fact(path, name, links)
    return found


def digest(found: Facts) -> str:
    """One digest for all of it."""
    whole = hashlib.sha256()
    for name in sorted(found):
        whole.update(name + b"\0" + found[name].encode() + b"\n")
    return whole.hexdigest()


def differences(one: Facts, other: Facts, most: int = 10) -> list[str]:
    """The first paths that are not the same, with what is said of them."""
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return [f"{name!r}: {one.get(name)} | {other.get(name)}" for name in names[:most]]


def _walk(top: bytes) -> Iterator[bytes]:
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for entry in sorted(os.scandir(top), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            else:
                yield entry.path


def _fact(path: bytes, name: bytes, links: dict[tuple[int, int], bytes]) -> str:
    found = os.lstat(path)
    words = [f"{found.st_mode:o} {found.st_uid}:{found.st_gid} {found.st_mtime_ns}"]
    if stat.S_ISREG(found.st_mode):
        words.append(f"{found.st_size} {_content(path)}")
        if found.st_nlink > 1:
            words.append(f"same as {links.setdefault((found.st_dev, found.st_ino), name)!r}")
    elif stat.S_ISLNK(found.st_mode):
        words.append(f"to {os.readlink(path)!r}")
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        words.append(f"device {os.major(found.st_rdev)},{os.minor(found.st_rdev)}")
    kept = (key for key in os.listxattr(path, follow_symlinks=False) if key.startswith(("user.", "security.capab")))
    words.extend(f"{key}={os.getxattr(path, key, follow_symlinks=False)!r}" for key in sorted(kept))
    return " ".join(words)


def _content(path: bytes) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def machine_parts(wanted: int) -> list[str]:
    """Directories of this machine that hold ``wanted`` files or more together, few of them large."""
    parts: list[str] = []
    count = 0
    for share in SHARES:
        for entry in (
            sorted(os.scandir(f"/{share}"), key=lambda entry: entry.name) if os.path.isdir(f"/{share}") else ()
        ):
            if count >= wanted:
                return parts
            if not entry.is_dir(follow_symlinks=False):
                continue
            files, size = _measure(entry.path)
            if files and size / files < 20_000 and size < 15_000_000:
                parts.append(f"{share}/{entry.name}")
                count += files
    return parts


def _measure(top: str) -> tuple[int, int]:
    files = size = 0
    for path, _, names in os.walk(top):
        files += len(names)
        size += sum(os.lstat(os.path.join(path, name)).st_size for name in names)
    return files, size


def tar_of(top: Path, parts: Iterable[str], *more: str) -> list[str]:
    """The command that writes a tar of them with all that they have; ``more`` are further arguments of tar."""
    keep = ("--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sparse")
    return ["tar", *keep, "-C", str(top), "-cf", "-", *parts, *more]


def write_small_files(stream: io.BufferedIOBase, count: int) -> Facts:
    """A tar of ``count`` small files, and what it must become."""
    found: Facts = {}
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
        _add(tar, found, "small", None)
        for number in range(count):
            where = f"small/{number // (PER_DIRECTORY * 100):02}/{number // PER_DIRECTORY:04}"
            if number % (PER_DIRECTORY * 100) == 0:
                _add(tar, found, os.path.dirname(where), None)
            if number % PER_DIRECTORY == 0:
                _add(tar, found, where, None)
            _add(tar, found, f"{where}/{number:06}", b"%06d\n" % number * (number % 97))
        _add(tar, found, "bin", None)
        _add(tar, found, "bin/busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    return found


def _add(tar: tarfile.TarFile, found: Facts, name: str, data: bytes | None, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = MTIME
    kind, member.mode = (stat.S_IFDIR, 0o755) if data is None else (stat.S_IFREG, mode)
    fact = f"{kind | member.mode:o} 0:0 {MTIME * 1_000_000_000}"
    if data is None:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    else:
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
        fact += f" {len(data)} {hashlib.sha256(data).hexdigest()[:16]}"
    found[name.encode()] = fact


def make_odd_tree(top: Path) -> None:
    """One of everything: devices, a fifo, hard links, attributes, holes, odd names, large ids, set-user-id."""
    root = os.fsencode(top)
    os.makedirs(root + b"/bin")
    subprocess.run(["cp", "-p", "/bin/busybox", str(top / "bin")], check=True)
    os.mknod(root + b"/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root + b"/disk", stat.S_IFBLK | 0o660, os.makedev(8, 1))
    os.mkfifo(root + b"/pipe", 0o622)
    for name in (
        b"not text \xff\xfe\x80",
        "d\u00e9j\u00e0 vu".encode(),
        b"n" * 255,
        b"new\nline",
        b"back\\slash",
        b" space ",
    ):
        with open(root + b"/" + name, "wb") as file:
            file.write(name)
    deep = root + b"/" + b"/".join([b"d" * 100] * 12)
    os.makedirs(deep)
    with open(deep + b"/leaf", "wb") as file:
        file.write(b"leaf")
    for number in range(3):
        os.link(root + b"/new\nline", root + b"/link%d" % number)
    os.link(root + b"/null", root + b"/null too")
    os.symlink(b"not text \xff\xfe\x80", root + b"/to it \xff")
    os.symlink(b"t" * 200, root + b"/long link")
    with open(root + b"/holes", "wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 23)
        file.write(b"island")
    os.setxattr(root + b"/holes", "user.binary", bytes(range(256)))
    os.setxattr(root + b"/bin/busybox", "security.capability", b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12))
    with open(root + b"/owned", "wb") as file:
        os.fchown(file.fileno(), 70000, 3_000_000_000)
        os.fchmod(file.fileno(), 0o6755)
    os.mkdir(root + b"/sticky")
    os.chmod(root + b"/sticky", 0o3777)
    os.setxattr(root + b"/sticky", "user.of.a.directory", b"yes")
    os.utime(root + b"/owned", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root + b"/sticky", ns=(1, 987_654_321))
