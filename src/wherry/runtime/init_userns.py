"""User namespaces by descriptor: one that has a container's id maps is made, or found, before anything enters it.

Whoever needs one (the container's init, an idmapped mount) gets a descriptor; the maps are written by a process of the
parent namespace, as user_namespaces(7) demands. Without privileges newuidmap(1) and newgidmap(1) write them, by the
ranges of /etc/subuid and /etc/subgid.
"""

from __future__ import annotations

import os

from wherry.linux import namespaces, pidfd, process, signals
from wherry.runtime.init_errors import StartError, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Mappings = list[dict[str, int]]
    """OCI: ``containerID``, ``hostID``, ``size``."""

_PATH = ("/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin", "/sbin")


def of_spec(linux: dict[str, Any]) -> int:
    """The user namespace that ``linux`` of config.json asks for: the one at a path, a new one, or -1 for none.

    Raises StartError.
    """
    for entry in linux.get("namespaces") or ():
        if entry["type"] != "user":
            continue
        if path := entry.get("path"):
            with Step(f"lstat {path}"):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return make(linux.get("uidMappings") or [], linux.get("gidMappings") or [])
    return -1


def make(uids: Mappings, gids: Mappings) -> int:
    """A new user namespace with these maps; its descriptor keeps it. Raises StartError."""
    if not uids or not gids:
        raise StartError("user namespaces enabled, but no uid mappings found" if not uids else _NO_GIDS)
    ready, tell = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _hold(ready, tell)
    os.close(tell)
    try:
        number = int(os.read(ready, 16) or b"0")
        if number:
            raise StartError(f"unable to create a user namespace: {os.strerror(number).lower()}")
        # We may be in a new pid namespace already, and know it by another number than /proc does.
        shown = pidfd.number_of(pid)
        _write_maps(shown, uids, gids)
        with Step("opening the new user namespace"):
            return os.open(f"/proc/{shown}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(pid, signals.SIGKILL)
        os.waitpid(pid, 0)


_NO_GIDS = "user namespaces enabled, but no gid mappings found"


def enter(fd: int) -> None:
    """Become root of the namespace ``fd``. Raises StartError."""
    with Step("joining the user namespace"):
        namespaces.setns(fd, namespaces.CLONE_NEWUSER)
    with Step("becoming root of the user namespace"):
        become_root()
    process.set_dumpable(0)


def become_root() -> None:
    """Of the user namespace that we are in. Raises OSError."""
    os.setresgid(0, 0, 0)
    if _may_set_groups():
        os.setgroups([])
    os.setresuid(0, 0, 0)


def _hold(ready: int, tell: int) -> None:
    """The process that the namespace is made with: it waits to be killed."""
    number = 0
    try:
        os.close(ready)
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        process.set_death_signal(signals.SIGKILL)  # a change of credentials would have cleared it
        if os.geteuid() != 0:
            # Its /proc files belong to us, who are to write its maps, only while it may be dumped.
            process.set_dumpable(1)
    except OSError as error:
        number = error.errno or 1
    os.write(tell, b"%d" % number)
    signals.wait(signals.block_all())
    os._exit(0)


def _write_maps(pid: int, uids: Mappings, gids: Mappings) -> None:
    if os.geteuid() == 0 or (_own(uids, os.geteuid()) and _own(gids, os.getegid())):
        if os.geteuid() != 0:
            # Whoever may not change groups in the parent namespace must give it up to map one (CVE-2014-8989).
            _write(pid, "setgroups", "deny")
        _write(pid, "uid_map", _lines(uids))
        _write(pid, "gid_map", _lines(gids))
        return
    _call("newuidmap", pid, uids)
    _call("newgidmap", pid, gids)


def _own(mappings: Mappings, caller: int) -> bool:
    """Whether it maps the caller alone, which everybody may."""
    return len(mappings) == 1 and mappings[0]["size"] == 1 and mappings[0]["hostID"] == caller


def _lines(mappings: Mappings) -> str:
    return "".join(f"{entry['containerID']} {entry['hostID']} {entry['size']}\n" for entry in mappings)


def _write(pid: int, name: str, text: str) -> None:
    with Step(f"failed to write {name} of the user namespace"):
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _call(name: str, pid: int, mappings: Mappings) -> None:
    program = next((f"{directory}/{name}" for directory in _PATH if os.access(f"{directory}/{name}", os.X_OK)), "")
    if not program:
        raise StartError(f"more than one id is to be mapped: install {name} (Debian's package uidmap)")
    words = [str(entry[key]) for entry in mappings for key in ("containerID", "hostID", "size")]
    child = os.posix_spawn(program, [name, str(pid), *words], {})
    _, status = os.waitpid(child, 0)
    if status:
        raise StartError(f"{name} failed: are the ids among those of /etc/sub{name[3:6]}?")


def _may_set_groups() -> bool:
    fd = os.open("/proc/self/setgroups", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 16).strip() == b"allow"
    finally:
        os.close(fd)
