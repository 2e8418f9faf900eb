"""What a caller asks of the runtime and what it learns back. Standard library only: the zygote reads these too.

The exec root of one daemon:

    <exec-root>/
        containers/<id>/           0700, the bundle of a running container
            config.json            OCI runtime spec (runtime-spec 1.2)
            launch.json            the rest of the LaunchRequest
            shim.json              the shim's own record: its pid, init's pid and their start times
            shim.sock              the shim's socket, SOCK_STREAM, framed (see ``frames.py``)
            exit.json              written once, when init is gone: the ExitStatus
        execs/<exec id>/           the same for an exec process
        rootfs/                    empty; where another runtime's call sees its container's root, see ``foreign``
        runtimes/<name>/           another runtime's own state
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayRoot:
    """A root file system as overlay layers, top-most lower layer first; absolute paths."""

    lower: tuple[str, ...]
    upper: str
    work: str
    idmap: bool = False
    """The layers belong to the ids of the container's user namespace: mount them so that they show the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio:
    """How the process is wired: a pseudo-terminal, or three pipes (stdin is /dev/null unless ``stdin``)."""

    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    """Close the program's stdin when the first attached client ends."""
    height: int = 0
    width: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLog:
    """A json-file log that the shim writes: one JSON object a line, rotated by size."""

    path: str
    max_size: int
    """Bytes after which the file is rotated; -1 never."""
    max_files: int
    compress: bool = False
    attrs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """Everything that one container's start needs."""

    id: str
    bundle: Path
    spec: dict[str, object]
    """config.json, as ``runtime.spec`` builds it."""
    root: OverlayRoot
    stdio: Stdio
    log: JsonLog | None
    user: str = ""
    """``user[:group]`` by name or number, resolved against the container's own passwd and group files."""
    group_add: tuple[str, ...] = ()
    seccomp: bytes = b""
    """Compiled BPF; empty is unconfined."""
    init: bool = False
    """Put a reaping init (ours) in front of the program as process 1 (``--init``)."""
    runtime: tuple[str, ...] = ()
    """The command of another OCI runtime; empty is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """A further process in a running container."""

    id: str
    bundle: Path
    container_pid: int
    container_bundle: Path
    process: dict[str, object]
    """The ``process`` object of the OCI spec: args, env, cwd, capabilities, rlimits, noNewPrivileges."""
    stdio: Stdio
    user: str = ""
    group_add: tuple[str, ...] = ()
    seccomp: bytes = b""
    runtime: tuple[str, ...] = ()
    """The container's."""
    owner: tuple[int, int] = (0, 0)
    """The host's ids of root in the container's user namespace: its pipes belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """How a process ended."""

    code: int
    """0-255; 128+n after signal n."""
    finished_at: int
    """ns since the epoch."""
    oom_killed: bool = False
