"""The rows of ``ps -ef`` for some process ids, from /proc."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LONGEST_COMMAND = 4096
_LONGEST_NAME = 8


@dataclass(frozen=True, slots=True)
class Process:
    """What a row needs of one process."""

    pid: int
    uid: int
    parent: int
    state: str
    terminal: int
    """Device number, 0 for none."""
    cpu: int
    """CPU time, ticks."""
    started: int
    """Ticks after boot."""
    name: str
    arguments: str


def in_pid_namespace(pid: int) -> list[int]:
    """The ids of all processes in the pid namespace of ``pid``, ascending; none when it is gone."""
    wanted = _pid_namespace(pid)
    everybody = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return sorted(other for other in everybody if wanted and _pid_namespace(other) == wanted)


def _pid_namespace(pid: int) -> int:
    """Its inode number; 0 when there is no such process, or it is not ours to look at."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return 0


def list_processes(pids: Sequence[int], *, now: float | None = None) -> list[list[str]]:
    """One row per process that still exists, by id: UID PID PPID C STIME TTY TIME CMD.

    ``now`` in seconds since the epoch. Reads /proc and the host's user names: not for the event loop.
    """
    instant = time.time() if now is None else now
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    found = (_read(pid) for pid in sorted(pids))
    return [row(process, uptime=uptime, now=instant) for process in found if process]


def row(process: Process, *, uptime: float, now: float) -> list[str]:
    """The columns of one process; ``uptime`` and ``now`` in seconds."""
    age = max(uptime - process.started / _TICKS, 0.0)
    seconds = process.cpu // _TICKS
    share = min(int(process.cpu * 100 / _TICKS / age), 99) if age > 0 else 0
    command = process.arguments or f"[{process.name}]"
    if process.state == "Z":
        command = f"[{process.name}] <defunct>"
    return [
        user_name(process.uid),
        str(process.pid),
        str(process.parent),
        str(share),
        _start(now - age, now),
        terminal_name(process.terminal),
        _duration(seconds),
        " ".join(command.split()),
    ]


def user_name(uid: int) -> str:
    """The host's name of a user, cut as ps cuts it, or the number."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}+"


def terminal_name(number: int) -> str:
    """A terminal by its device number; ``?`` for none, and as with ps for one that the host does not have."""
    major, minor = os.major(number), os.minor(number)
    if 136 <= major <= 143:
        name = f"pts/{(major - 136) * 256 + minor}"
    elif major == 4:
        name = f"ttyS{minor - 64}" if minor >= 64 else f"tty{minor}"
    else:
        return "?"
    try:
        return name if os.stat(f"/dev/{name}").st_rdev == number else "?"
    except OSError:
        return "?"


def _start(started: float, now: float) -> str:
    """The hour today, the day this year, or the year."""
    then, today = time.localtime(started), time.localtime(now)
    if then.tm_year != today.tm_year:
        return time.strftime("%Y", then)
    return time.strftime("%H:%M" if then.tm_yday == today.tm_yday else "%b%d", then)


def _duration(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}-{hour:02}:{minute:02}:{second:02}" if days else f"{hour:02}:{minute:02}:{second:02}"


def _read(pid: int) -> Process | None:
    try:
        directory = Path(f"/proc/{pid}")
        status = (directory / "status").read_text(errors="replace")
        stat = (directory / "stat").read_text(errors="replace")
        with (directory / "cmdline").open("rb") as file:
            arguments = file.read(_LONGEST_COMMAND)
    except OSError:
        return None  # it ended meanwhile
    # Effective uid; the directory's owner would be root for whatever is not dumpable.
    uids = next((line.split() for line in status.splitlines() if line.startswith("Uid:")), ["", "0", "0"])
    return parse_stat(pid, int(uids[2]), stat, arguments)


def parse_stat(pid: int, uid: int, stat: str, arguments: bytes) -> Process:
    """A process from /proc/<pid>/stat (proc(5)) and its command line; what cannot be printed becomes ``?``."""
    opening, closing = stat.index("("), stat.rindex(")")
    fields = stat[closing + 2 :].split()
    text = arguments.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return Process(
        pid=pid,
        uid=uid,
        parent=int(fields[1]),
        state=fields[0],
        terminal=int(fields[4]) & 0xFFFFFFFF,
        cpu=int(fields[11]) + int(fields[12]),
        started=int(fields[19]),
        name=stat[opening + 1 : closing],
        arguments="".join(char if char.isprintable() or char == " " else "?" for char in text),
    )
