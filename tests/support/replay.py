"""What a program does to a directory, recorded call by call, and any prefix of it done again elsewhere.

strace records; a prefix is what a machine had done when it went down. Three kinds of end:

    KILLED   the process died: every call of the prefix has happened
    LOST     the power went: what was written and not synced by then is not there, names are
    TORN     the same, but half of the last of these writes has come to the disk

Names and modes are kept in order, as a journalling file system does; bytes are only promised by fsync.
"""

from __future__ import annotations

import enum
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,openat2,creat,write,pwrite64,writev,pwritev,lseek,ftruncate,fallocate,copy_file_range,sendfile,splice,"
    "mkdir,mkdirat,unlink,unlinkat,rmdir,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,"
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utimensat,setxattr,lsetxattr,fsetxattr,"
    "fsync,fdatasync,syncfs,sync"
)
STRING_MAX = 8 * 1024 * 1024

_LINE = re.compile(r"(\d+\.\d+) (\w+)\((.*)\)\s+= (-?\d+)(?:<(.*)>)?")
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_SPECIAL = re.compile(r'"[^"]*"|[\[\](){}<>,]')
_OPEN, _CLOSE = "([{<", ")]}>"


class End(enum.Enum):
    """How the machine stopped."""

    KILLED = enum.auto()
    LOST = enum.auto()
    TORN = enum.auto()


@dataclass(frozen=True, slots=True)
class Call:
    """One change: what, to which path (below the root, resolved), and its arguments decoded."""

    name: str
    path: bytes
    other: bytes = b""
    data: bytes = b""
    numbers: tuple[int, ...] = ()
    inode: int = 0
    """The same for all calls on one file, whatever it is called."""


def record(argv: Sequence[str], root: Path, traces: Path) -> list[Call]:
    """Run ``argv`` under strace; what it and its threads have changed below ``root``, in order."""
    done = subprocess.run([*tracer(traces), *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return recorded(root, traces)


def tracer(traces: Path, *options: str) -> list[str]:
    """The words before a program that have its calls written below ``traces``, which is made."""
    traces.mkdir()
    shown = ("-ttt", "-y", "-xx", "-s", str(STRING_MAX), "-e", f"trace={CALLS}", "-e", "signal=none")
    return ["strace", "-qq", "-ff", *options, *shown, "-o", str(traces / "t")]


def recorded(root: Path, traces: Path) -> list[Call]:
    """What was written below ``traces`` of changes below ``root``, in order."""
    mark = "".join(f"\\x{byte:02x}" for byte in os.fsencode(root))
    lines = [
        match
        for file in traces.iterdir()
        for line in _lines(file)
        if (mark in line or "sync(" in line) and (match := _LINE.fullmatch(line))
    ]
    lines.sort(key=lambda match: float(match[1]))
    return [*_with_inodes(_calls(lines, os.fsencode(root)))]


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="ascii", errors="replace") as text:
        for line in text:
            yield line.rstrip("\n")


# --- reading strace ---------------------------------------------------------------------------------------------------


def _calls(lines: Sequence[re.Match[str]], root: bytes) -> Iterator[Call]:
    offsets: dict[int, int] = {}
    for line in lines:
        name, result = line[2], int(line[4])
        if result < 0:
            continue
        for call in _read(name, _split(line[3]), result, _text(line[5] or ""), offsets):
            if _below(call.path, root) or call.name == "sync":
                yield Call(call.name, _relative(call.path, root), _relative(call.other, root), call.data, call.numbers)


def _read(name: str, arguments: list[str], result: int, opened: bytes, offsets: dict[int, int]) -> Iterator[Call]:
    if name in {"openat", "openat2"}:
        offsets[result] = 0
        flags = " ".join(arguments[2:])
        if "O_CREAT" in flags:
            mode = re.search(r"\b0[0-7]{3,}\b|mode=(0[0-7]+)", flags)
            yield Call("create", opened, numbers=(int((mode[1] or mode[0]) if mode else "0600", 8),))
        if "O_TRUNC" in flags:
            yield Call("truncate", opened, numbers=(0,))
    elif name in {"write", "writev"}:
        number, path = _descriptor(arguments[0])
        data = b"".join(_strings(arguments[1]))[:result]
        yield Call("write", path, data=data, numbers=(offsets.get(number, 0),))
        offsets[number] = offsets.get(number, 0) + result
    elif name in {"pwrite64", "pwritev"}:
        _, path = _descriptor(arguments[0])
        yield Call("write", path, data=b"".join(_strings(arguments[1]))[:result], numbers=(int(arguments[3]),))
    elif name == "lseek":
        offsets[_descriptor(arguments[0])[0]] = result
    elif name == "ftruncate":
        yield Call("truncate", _descriptor(arguments[0])[1], numbers=(int(arguments[1]),))
    elif name in {"fsync", "fdatasync"}:
        yield Call("fsync", _descriptor(arguments[0])[1])
    elif name in {"sync", "syncfs"}:
        yield Call("sync", b"")
    else:
        yield from _named(name, arguments)


def _named(name: str, arguments: list[str]) -> Iterator[Call]:
    """Calls that change names."""
    if name in {"mkdir", "mkdirat"}:
        *place, mode = arguments
        yield Call("mkdir", _path(place), numbers=(int(mode, 8),))
    elif name in {"unlink", "unlinkat", "rmdir"}:
        directory = name == "rmdir" or "AT_REMOVEDIR" in arguments[-1]
        yield Call("rmdir" if directory else "unlink", _path(arguments[:2] if name == "unlinkat" else arguments[:1]))
    elif name in {"rename", "renameat", "renameat2", "link", "linkat"}:
        two = (arguments[:1], arguments[1:2]) if name in {"rename", "link"} else (arguments[:2], arguments[2:4])
        yield Call("rename" if name.startswith("rename") else "link", _path(two[0]), _path(two[1]))
    elif name in {"symlink", "symlinkat"}:
        yield Call("symlink", _path(arguments[1:]), data=_strings(arguments[0])[0])
    elif name in {"mknod", "mknodat"}:
        yield Call("mknod", _path(arguments[:2] if name == "mknodat" else arguments[:1]))
    else:
        yield from _about(name, arguments)


def _about(name: str, arguments: list[str]) -> Iterator[Call]:
    """Calls that change what is known of a file; others are handed on as they are, for ``replay`` to refuse."""
    if name in {"chmod", "fchmod", "fchmodat"}:
        place = arguments[:2] if name == "fchmodat" else arguments[:1]
        yield Call("chmod", _path(place), numbers=(int(arguments[len(place)], 8),))
    elif name in {"chown", "fchown", "lchown", "fchownat"}:
        place = arguments[:2] if name == "fchownat" else arguments[:1]
        yield Call("chown", _path(place), numbers=tuple(int(one) for one in arguments[len(place) :][:2]))
    elif name == "utimensat":
        times = re.findall(r"tv_sec=(-?\d+), tv_nsec=(\d+)", arguments[2])
        if len(times) == 2:
            yield Call(
                "utime", _path(arguments[:2]), numbers=tuple(int(sec) * 10**9 + int(nsec) for sec, nsec in times)
            )
    elif name in {"fsetxattr", "setxattr", "lsetxattr"}:
        yield Call("xattr", _path(arguments[:1]), _strings(arguments[1])[0], _strings(arguments[2])[0])
    elif name == "fallocate" and arguments[1] == "0":
        yield Call("extend", _descriptor(arguments[0])[1], numbers=(int(arguments[2]), int(arguments[3])))
    else:
        *_, target = (_descriptor(one)[1] for one in arguments if "<" in one)
        yield Call(name, target)


def _split(text: str) -> list[str]:
    """Arguments at the commas that stand in no bracket; strings are hexadecimal, so they hold none."""
    parts, depth, start = [], 0, 0
    for match in _SPECIAL.finditer(text):
        char = match[0]
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[start : match.start()].strip())
            start = match.end()
    return [*parts, text[start:].strip()]


def _text(escaped: str) -> bytes:
    return bytes.fromhex("".join(_HEX.findall(escaped))) if "\\x" in escaped else escaped.encode()


def _strings(argument: str) -> list[bytes]:
    assert '"...' not in argument, "a string longer than strace was told to show"
    return [_text(one) if one else b"" for one in re.findall(r'"([^"]*)"', argument)]


def _descriptor(argument: str) -> tuple[int, bytes]:
    number, _, path = argument.partition("<")
    return (int(number) if number.isdecimal() else -1), _text(path.rstrip(">"))


def _path(arguments: list[str]) -> bytes:
    """The path of one argument, or of a directory's descriptor and a name in it."""
    if len(arguments) == 2 and arguments[1] != "NULL":
        name = _strings(arguments[1])[0]
        return os.path.normpath(os.path.join(_descriptor(arguments[0])[1], name))
    if '"' in arguments[0]:
        return os.path.normpath(_strings(arguments[0])[0])
    return _descriptor(arguments[0])[1]


def _below(path: bytes, root: bytes) -> bool:
    # The probe mounts something there, of which nothing stays.
    return (path == root or path.startswith(root + b"/")) and b"/snapshots/probe" not in path


def _relative(path: bytes, root: bytes) -> bytes:
    return path[len(root) + 1 :] if path == root or path.startswith(root + b"/") else path


def _with_inodes(calls: Iterator[Call]) -> Iterator[Call]:
    inodes: dict[bytes, int] = {}
    last = 0
    for call in calls:
        if call.name in {"create", "mkdir"} and call.path not in inodes:
            last += 1
            inodes[call.path] = last
        yield Call(call.name, call.path, call.other, call.data, call.numbers, inodes.get(call.path, 0))
        if call.name == "rename":
            moved = [path for path in inodes if path == call.path or path.startswith(call.path + b"/")]
            for path in moved:
                inodes[call.other + path[len(call.path) :]] = inodes.pop(path)
        elif call.name == "link" and call.path in inodes:
            inodes[call.other] = inodes[call.path]
        elif call.name in {"unlink", "rmdir"}:
            inodes.pop(call.path, None)


# --- doing it again ---------------------------------------------------------------------------------------------------


def replay(calls: Sequence[Call], count: int, end: End, root: Path) -> None:
    """Do the first ``count`` of ``calls`` below ``root``, which is made: as the machine is found after ``end``."""
    prefix = calls[:count]
    lost = set() if end is End.KILLED else _unsynced(prefix)
    root.mkdir(parents=True)
    for number, call in enumerate(prefix):
        if call.name == "write" and number in lost:
            if end is not End.TORN or number != max(lost):
                continue
            call = Call("write", call.path, data=call.data[: len(call.data) // 2], numbers=call.numbers)  # noqa: PLW2901
        _do(call, os.fsencode(root))


def _unsynced(prefix: Sequence[Call]) -> set[int]:
    """The writes whose file was not synced afterwards."""
    waiting: dict[int, list[int]] = {}
    for number, call in enumerate(prefix):
        if call.name == "write":
            waiting.setdefault(call.inode, []).append(number)
        elif call.name == "fsync":
            waiting.pop(call.inode, None)
        elif call.name == "sync":
            waiting.clear()
    return {number for numbers in waiting.values() for number in numbers}


def _do(call: Call, root: bytes) -> None:
    if call.name in {"fsync", "sync"}:
        return
    path = os.path.join(root, call.path)
    if call.name in {"rename", "link"}:
        getattr(os, call.name)(path, os.path.join(root, call.other))
    elif call.path:  # the root itself is there
        _SIMPLE[call.name](path, call)


def _write(path: bytes, call: Call) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, call.data, call.numbers[0])
    os.close(fd)


def _extend(path: bytes, call: Call) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.posix_fallocate(fd, *call.numbers)
    os.close(fd)


_SIMPLE: dict[str, Callable[[bytes, Call], None]] = {
    "create": lambda path, call: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, call.numbers[0])),
    "write": _write,
    "truncate": lambda path, call: os.truncate(path, call.numbers[0]),
    "extend": _extend,
    "mkdir": lambda path, call: os.mkdir(path, call.numbers[0]),
    "rmdir": lambda path, _: os.rmdir(path),
    "unlink": lambda path, _: os.unlink(path),
    "symlink": lambda path, call: os.symlink(call.data, path),
    "chmod": lambda path, call: os.chmod(path, call.numbers[0]),
    "chown": lambda path, call: os.chown(path, *call.numbers, follow_symlinks=False),
    "utime": lambda path, call: os.utime(path, ns=(call.numbers[0], call.numbers[1]), follow_symlinks=False),
    "xattr": lambda path, call: os.setxattr(path, call.other, call.data, follow_symlinks=False),
}
"""A call that is not here cannot be done again, and fails the test that has recorded it."""
