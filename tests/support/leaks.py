"""The search for what a daemon left behind: processes, mounts, namespaces, links, cgroups, firewall tables.

A thing belongs to a daemon when it carries the daemon's name or root directory. A process does when
it has the mark in its environment (the daemon, its zygote and the shims, which are forks of it), sits in a cgroup
under the daemon's name, or has a root file system kept under the daemon's root (a container).
"""

from __future__ import annotations

from pathlib import Path

from support.box import Box

MARK = "WHERRY_TEST_DAEMON"
CGROUPS = Path("/sys/fs/cgroup")


SPARE = b"wherry-shim waiting"
"""The command line of the shim that waits for a start, and of its child: there or not from moment to moment."""


def busy_processes(name: str, root: str) -> list[str]:
    """``processes`` without those that only wait for a container."""
    return [
        line for line in processes(name, root) if not _read(Path("/proc", line.split()[0], "cmdline")).startswith(SPARE)
    ]


def processes(name: str, root: str) -> list[str]:
    """The daemon's processes as ``pid comm``, those of its containers included."""
    mark = f"{MARK}={name}".encode()
    return [
        f"{entry.name} {_read(entry / 'comm').decode(errors='replace').strip()}"
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _belongs(entry, mark, name, root)
    ]


def _belongs(proc: Path, mark: bytes, name: str, root: str) -> bool:
    if mark in _read(proc / "environ").split(b"\0"):
        return True
    # The zygote has an environment of its own, and the shims are its forks.
    if _read(proc / "comm").startswith(b"wherry") and _inode(proc / "ns/net") == _inode(Path("/run/netns", name)) != 0:
        return True
    if f"/{name}/".encode() in _read(proc / "cgroup") + b"/":
        return True
    mounted = [line.split() for line in _read(proc / "mountinfo").decode(errors="replace").splitlines()]
    return any(fields[4] == "/" and f"{root}/" in " ".join(fields[5:]) for fields in mounted)


def _inode(path: Path) -> int:
    """0 for what is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended while we looked
        return b""


def mounts(name: str, root: str) -> list[str]:
    """Mount points of the machine that lie under the root or are namespaces kept by name."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        # The box itself is a mount, made and removed by the tests.
        if (point.startswith(root + "/") or f"/{name}/" in point) and point != f"/run/netns/{name}":
            found.append(point)
    return found


def cgroups(name: str) -> list[str]:
    """Control groups that carry the daemon's name, in every hierarchy, v1 or v2."""
    roots = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]
    return [str(root / name) for root in roots if (root / name).is_dir()]


def container_cgroups(name: str) -> list[str]:
    """The groups below the daemon's own: one per container and hierarchy."""
    return [str(path) for top in cgroups(name) for path in Path(top).iterdir() if path.is_dir()]


def leftovers(name: str, root: str, box: Box, *, expected_links: set[str] = frozenset()) -> list[str]:
    """Everything that a stopped daemon should not have left, one line each."""
    return [
        *(f"process {item}" for item in processes(name, root)),
        *(f"mount {item}" for item in mounts(name, root)),
        *(f"cgroup {item}" for item in cgroups(name)),
        *(f"link {item}" for item in box.links() if item not in expected_links),
        *(f"nft {item}" for item in box.tables()),
    ]
