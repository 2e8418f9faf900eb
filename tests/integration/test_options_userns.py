"""``--userns-remap``: root in a container is nobody in particular on the host."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemons import Daemon

pytestmark = [pytest.mark.ours, pytest.mark.timeout(180)]


def _mapped_user() -> tuple[str, int, int]:
    """A user of this machine who has subordinate ids, and the first of them."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    first: list[dict[str, int]] = []
    for name in ("subuid", "subgid"):
        try:
            lines = Path("/etc", name).read_text().splitlines()
        except FileNotFoundError:
            lines = []
        fields = [line.split(":") for line in lines if line.count(":") == 2]
        first.append({user: int(start) for user, start, count in fields if int(count) >= 65536})
    both = sorted(known & first[0].keys() & first[1].keys())
    if not both:
        pytest.skip("no user here has 65536 subordinate ids: usermod -v 100000-165535 -w 100000-165535 USER")
    return both[0], first[0][both[0]], first[1][both[0]]


@pytest.fixture
def remapped(make_daemon: Callable[..., Daemon]) -> Daemon:
    return make_daemon("--userns-remap", _mapped_user()[0])


def run(daemon: Daemon, *args: str) -> tuple[int, str]:
    done = daemon.docker("run", "--rm", *args, check=False)
    return done.returncode, done.stdout + done.stderr


def test_root_inside_is_another_outside(remapped: Daemon) -> None:
    """Processes and files: ids inside are Docker's usual ones, outside they are the user's subordinate ones."""
    _, uid, gid = _mapped_user()
    name = remapped.out("run", "-d", "busybox", "sleep", "300")
    assert remapped.out("exec", name, "id", "-u") == "0"
    found = os.stat(f"/proc/{remapped.inspect(name)['State']['Pid']}")
    assert (found.st_uid, found.st_gid) == (uid, gid)
    assert remapped.out("exec", name, "cat", "/proc/self/uid_map").split() == ["0", str(uid), "65536"]
    assert remapped.out("exec", "-u", "1000", name, "id", "-u") == "1000"
    assert "name=userns" in remapped.out("info", "-f", "{{.SecurityOptions}}")


def test_the_image_and_what_is_written(remapped: Daemon) -> None:
    """The image's files are root's inside, may be changed, and an owner may be given."""
    script = (
        "stat -c %u:%g /bin/busybox /etc/hosts; echo mine > /file; chown 7:8 /file; stat -c %u:%g /file; "
        "rm -r /var && test ! -e /var && echo gone; echo more >> /etc/hosts && echo written; "
        "mkdir -p /a/b && rmdir /a/b"
    )
    code, said = run(remapped, "busybox", "sh", "-c", script)
    assert code == 0, said
    assert said.splitlines()[:3] == ["0:0", "0:0", "7:8"]
    assert said.splitlines()[3:] == ["gone", "written"]


def test_output_and_terminal(remapped: Daemon) -> None:
    """/dev/stdout can be opened again, as can the terminal."""
    assert run(remapped, "busybox", "sh", "-c", "echo one > /dev/stdout") == (0, "one\n")
    assert run(remapped, "-t", "busybox", "sh", "-c", "echo one > /dev/stdout") == (0, "one\r\n")


def test_the_network_is_its_own(remapped: Daemon) -> None:
    """An address, a low port, a sysctl; and rights in it for who asks."""
    name = remapped.out("run", "-d", "-p", "8081:80", "busybox", "httpd", "-f", "-h", "/etc")
    assert remapped.box.fetch("http://127.0.0.1:8081/hostname").strip() == name[:12]
    script = "ip link set lo down && cat /proc/sys/net/ipv4/ip_forward"
    options = ("--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=1")
    assert run(remapped, *options, "busybox", "sh", "-c", script) == (0, "1\n")
    code, said = run(remapped, "--network", f"container:{name}", "busybox", "wget", "-qO-", "http://127.0.0.1/hostname")
    assert (code, said.strip()) == (0, name[:12])


def test_volumes_and_directories_belong_to_it(remapped: Daemon, tmp_path: Path) -> None:
    """A new volume, one filled from the image, and a directory that -v makes."""
    _, uid, gid = _mapped_user()
    made = tmp_path / "made" / "here"
    mounts = ("-v", "fresh:/fresh", "-v", "filled:/etc", "-v", f"{made}:/made")
    code, said = run(remapped, *mounts, "busybox", "sh", "-c", "touch /fresh/x /made/x && stat -c %u /etc/passwd")
    assert (code, said) == (0, "0\n")
    places = [Path(remapped.out("volume", "inspect", "-f", "{{.Mountpoint}}", name)) for name in ("fresh", "filled")]
    for path in (*places, places[0] / "x", places[1] / "passwd", made, made.parent, made / "x"):
        assert (path.stat().st_uid, path.stat().st_gid) == (uid, gid), path


def test_the_data_root_is_apart(remapped: Daemon) -> None:
    """Another map, or none, is another daemon's state: 0710 for the mapped root's group, nothing for others."""
    _, uid, gid = _mapped_user()
    root = f"{remapped.data_root}/{uid}.{gid}"
    assert remapped.out("info", "-f", "{{.DockerRootDir}}") == root
    for directory in (remapped.data_root, root):
        found = os.stat(directory)
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, gid, 0o710)


def test_what_needs_the_hosts_namespace(remapped: Daemon) -> None:
    """Docker's words, and --userns host as the way out."""
    for args, words in (
        (("--privileged",), "privileged mode is incompatible with user namespaces"),
        (("--network", "host"), "cannot share the host's network namespace when user namespaces are enabled"),
        (("--pid", "host"), "cannot share the host PID namespace when user namespaces are enabled"),
    ):
        code, said = run(remapped, *args, "busybox", "true")
        assert (code, words in said) == (125, True), said
        code, said = run(remapped, *args, "--userns", "host", "busybox", "cat", "/proc/self/uid_map")
        assert (code, said.split()[:2]) == (0, ["0", "0"]), said
    assert run(remapped, "--ipc", "host", "busybox", "true") == (0, "")


def test_sharing_among_the_mapped(remapped: Daemon) -> None:
    """Who enters another's namespaces enters its user namespace, and the network comes along."""
    one = remapped.out("run", "-d", "--ipc", "shareable", "busybox", "sh", "-c", "echo hi > /dev/shm/x; sleep 300")
    for kind, script in (("ipc", "cat /dev/shm/x"), ("pid", "ps | grep -q 'sleep 300' && echo hi")):
        code, said = run(remapped, f"--{kind}", f"container:{one}", "busybox", "sh", "-c", f"{script}; ip addr")
        assert (code, said.splitlines()[0], "eth0" in said) == (0, "hi", True), said
    plain = remapped.out("run", "-d", "--userns", "host", "busybox", "sleep", "300")
    code, said = run(remapped, "--pid", f"container:{plain}", "busybox", "true")
    assert (code, "it is in the host's user namespace" in said) == (125, True), said
