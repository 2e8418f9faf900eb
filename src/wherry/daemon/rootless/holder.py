"""The process that keeps a rootless daemon's namespaces, so that containers survive the daemon's end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import NoReturn

from wherry.daemon.rootless.home import Home, id_maps
from wherry.daemon.rootless.uplink import Uplink
from wherry.lib.errors import Unavailable
from wherry.linux import mounts, namespaces, pidfd, process
from wherry.linux.mounts import MS_BIND, MS_REC, MS_SLAVE
from wherry.runtime import init_userns
from wherry.runtime.init_errors import StartError

ENTERED = namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET
_RECORD = "holder.json"
_RESOLV_CONF = "resolv.conf"


def find_holder(runtime: Path) -> int | None:
    """A pidfd of the holder that an earlier daemon has left; None when there is none."""
    try:
        record = json.loads((runtime / _RECORD).read_bytes())
        holder = pidfd.open_verified(record["pid"], record["start"])
    except (OSError, ValueError, KeyError):
        return None
    if holder is not None and not pidfd.alive(holder):
        os.close(holder)
        return None
    return holder


def make_holder(home: Home, uplink: Uplink) -> int:
    """Make the namespaces and a holder in them; its pidfd. Raises Unavailable, InvalidArgument."""
    uids, gids = id_maps(home, Path("/etc/subuid").read_text(), Path("/etc/subgid").read_text())
    resolv_conf = home.runtime / _RESOLV_CONF
    resolv_conf.write_text(uplink.resolv_conf(Path("/etc/resolv.conf").read_text()))
    try:
        user = init_userns.make(uids, gids)
    except StartError as error:
        raise Unavailable(f"unable to make a user namespace: {error}") from None
    alive, life = os.pipe()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(alive)
        os.close(ready)
        _hold(user, resolv_conf, tell)
    os.close(user)
    os.close(life)
    os.close(tell)
    if os.read(ready, 1) != b"1":
        reason = os.read(ready, 4096).decode()
        os.waitpid(pid, 0)
        raise Unavailable(f"unable to enter the user namespace: {reason}")
    os.close(ready)
    try:
        uplink.start(pid, alive)
    except Unavailable:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(alive)
    (home.runtime / _RECORD).write_text(json.dumps({"pid": pid, "start": pidfd.start_time(pid)}))
    return os.pidfd_open(pid)


def end_holder(runtime: Path) -> None:
    """Let the namespaces go, and with them slirp4netns: when no container is left. Quiet when there are none."""
    holder = find_holder(runtime)
    if holder is not None:
        (runtime / _RECORD).unlink(missing_ok=True)
        pidfd.send_signal(holder, signal.SIGKILL)
        os.close(holder)


def enter(holder: int) -> None:
    """Become root in the holder's namespaces. Raises OSError."""
    namespaces.setns(holder, ENTERED)
    init_userns.become_root()
    # A change of credentials has made our own /proc files the host root's.
    process.set_dumpable(1)


def _hold(user: int, resolv_conf: Path, tell: int) -> NoReturn:
    try:
        os.setsid()
        init_userns.enter(user)
        os.close(user)
        process.set_dumpable(1)  # a later daemon of the same user shall be able to enter
        namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET)
        mounts.mount(None, "/", None, MS_SLAVE | MS_REC)
        mounts.mount(str(resolv_conf), os.path.realpath("/etc/resolv.conf"), None, MS_BIND)
        process.set_title("wherry-rootless")
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.write(tell, b"1")
        os.close(tell)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()
    except (OSError, StartError) as error:
        os.write(tell, f"0{error}".encode())
    finally:
        os._exit(1)
