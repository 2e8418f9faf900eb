"""S8: the engine's own doors: no abstract socket (CVE-2020-15257), none that a container reaches (CVE-2025-9074)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from oci.yard import Oci, Yard
from security.attack import NO_NETWORK, engine_processes
from support.commands import run
from support.daemons import GATEWAY, Daemon
from support.rootless import UID, Rootless

pytestmark = pytest.mark.root

# busybox' wget, statically linked, crashes over names; whoever answers at all is found.
ASK = "printf 'GET /_ping HTTP/1.0\\r\\n\\r\\n' | timeout 2 nc -w 1 $a"
PROBE = f'for a in {{}}; do a="${{{{a%:*}}}} ${{{{a##*:}}}}"; {ASK} && echo REACHED $a; done 2>/dev/null; true'
LISTENS = "0A"


def inodes(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed while we look
                if (target := os.readlink(entry)).startswith("socket:["):
                    found.add(target[8:-1])
    return found


def unix_sockets(pids: Iterable[int]) -> list[str]:
    """The names of the unix sockets of these processes, in whose network namespaces ever they were made."""
    pids = list(pids)
    own = {inode for pid in pids for inode in inodes(pid)}
    rows: dict[str, str] = {}
    for pid in [*pids, os.getpid()]:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[6] in own and len(fields) > 7:
                    rows[fields[6]] = fields[7]
    return list(rows.values())


def ports(pids: Iterable[int]) -> set[int]:
    """Every port, tcp or udp, at which one of these processes listens."""
    found = set()
    for pid in pids:
        own = inodes(pid)
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                row = line.split()
                if row[9] in own and (row[3] == LISTENS or table.startswith("udp")):
                    found.add(int(row[1].rsplit(":", 1)[1], 16))
    return found


@pytest.mark.ours
def test_no_abstract_socket_of_the_engine(daemon: Daemon) -> None:
    """CVE-2020-15257: while containers run, are attached to, and execs are under way.

    Guard: sockets between our processes are pairs or have a path. Seen to fail with abstract names in sockets.listen.
    """
    name = daemon.out("run", "-dit", *NO_NETWORK, "busybox", "sh")
    daemon.docker("run", "-d", "--network", "host", "busybox", "sleep", "60")
    running = daemon.spawn("exec", name, "sleep", "30")
    try:
        pids = [pid for pid, _ in engine_processes(daemon)]
        assert len(pids) >= 4
        names = unix_sockets(pids)
        assert any(name.startswith(daemon.socket) for name in names), "the search finds what there is"
        assert [one for one in names if one.startswith("@")] == []
    finally:
        running.kill()
        running.communicate()


@pytest.mark.ours
def test_no_abstract_socket_of_the_command(yard: Yard, oci: Oci) -> None:
    """CVE-2020-15257: of ``wherry-oci``, whose init waits for its start. Guard: the gate has a path (``oci/gate``).

    Seen to fail with an abstract name there.
    """
    oci.create(yard.bundle(yard.config("sleep", "100")))
    names = unix_sockets([oci.state()["pid"]])
    assert names
    assert [one for one in names if one.startswith("@")] == []
    oci.ok("delete", "-f", "box")


@pytest.fixture
def rootless_daemon(rootless: Rootless) -> Iterator[Rootless]:
    yield rootless
    rootless.clear()


def users_processes() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == UID or f"{UID}" in (entry / "loginuid").read_text():
                found.append(int(entry.name))
    return found


@pytest.mark.ours
def test_no_abstract_socket_of_a_rootless_engine(rootless_daemon: Rootless) -> None:
    """CVE-2020-15257: of the user's daemon, its helpers and slirp4netns. Guard: ``rootless/uplink`` gives a path."""
    rootless_daemon.docker("run", "-d", "busybox", "sleep", "60")
    names = unix_sockets(users_processes())
    assert any("/wherry.sock" in name for name in names), names
    assert [one for one in names if one.startswith("@")] == []


def test_a_container_of_a_rootless_engine_does_not_reach_the_users_loopback(rootless_daemon: Rootless) -> None:
    """CVE-2025-9074: slirp4netns' gateway stands for the host's loopback, where a user's services are.

    Guard: ``--disable-host-loopback`` in ``rootless/uplink``. Seen to fail without it.
    """

    def listen() -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    with rootless_daemon.box.inside(listen) as server:
        port = server.getsockname()[1]
        server.settimeout(0)
        knock = f"timeout 2 nc -w 1 $a {port} </dev/null && echo REACHED"
        script = f"for a in 10.0.2.2 10.0.2.3 10.0.2.100; do {knock}; done; true"
        assert "REACHED" not in rootless_daemon.out("run", "--rm", "busybox", "sh", "-c", script)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.ours
def test_every_address_of_the_engine_from_inside(make_daemon: Callable[..., Daemon]) -> None:
    """CVE-2025-9074: an engine that also listens on loopback; a container, one with NET_ADMIN among them, tries each of
    its ports on each address of the machine, and by a route of its own to the machine's loopback.

    Guard: ``daemon/listeners._listen_tcp`` opens on loopback alone. Seen to fail with it on every address.
    """
    daemon = make_daemon("--host", "tcp://127.0.0.1:2375")
    run(*daemon.box.argv("ip", "address", "add", "203.0.113.7/32", "dev", "lo"))
    listening = ports(pid for pid, _ in engine_processes(daemon))
    assert 2375 in listening
    assert daemon.box.connects("127.0.0.1", 2375)
    addresses = [GATEWAY, "203.0.113.7", "127.0.0.1", "127.0.0.11"]
    every = " ".join(f"{address}:{port}" for address in addresses for port in {*listening, 2376, 2377})
    probe = PROBE.format(every)
    assert daemon.out("run", "--rm", "busybox", "sh", "-c", probe) == ""
    around = f"ip link set lo down; ip route add 127.0.0.0/8 via {GATEWAY} dev eth0; {PROBE.format('127.0.0.1:2375')}"
    assert "REACHED" not in daemon.out("run", "--rm", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", around)
    run(*daemon.box.argv("ip", "address", "delete", "203.0.113.7/32", "dev", "lo"))


def test_no_socket_of_the_engine_is_in_a_container(daemon: Daemon) -> None:
    """CVE-2025-9074: no file, descriptor or mount of a container leads to the API."""
    find = "find / -xdev -type s; find /run /dev /tmp /var /etc -type s"
    find += "; grep -c docker.sock /proc/mounts; ls /proc/$$/fd; true"
    assert daemon.out("run", "--rm", "busybox", "sh", "-c", find).split() == ["0", "0", "1", "2"]
