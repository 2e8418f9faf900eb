"""Storage drivers: a container's root is the same whoever puts it together, survives the daemon, and leaves nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images
from support.commands import eventually, find
from support.daemons import Daemon, Wherryd, standing

pytestmark = [pytest.mark.root, pytest.mark.ours]

DRIVERS = ["overlay2", "native", "fuse-overlayfs"]
TREE = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /etc \\) -prune -o -print | sort | md5sum"


def _layers() -> list[bytes]:
    """busybox, and a layer that hides, replaces and adds."""
    second = images.Tar()
    second.add("www/.wh.index.html")
    second.folder("opaque")
    second.add("opaque/new", b"new")
    second.add("opaque/.wh..wh..opq")
    second.add("owned", b"x" * 5000, uid=1234, gid=70000, mode=0o4755)
    second.add("twin", b"one")
    second.add("other-twin", kind=b"1", linkname="twin")
    first = images.Tar()
    first.folder("opaque")
    first.add("opaque/old", b"old")
    return [images.busybox_layer(), first.bytes(), second.bytes()]


def _skip_without(driver: str) -> None:
    if driver == "fuse-overlayfs" and (find("fuse-overlayfs") is None or not Path("/dev/fuse").exists()):
        pytest.skip("fuse-overlayfs or /dev/fuse is not on this machine")


@pytest.fixture(scope="module", params=DRIVERS)
def driven(request: pytest.FixtureRequest, docker_cli: str, busybox_tar: bytes) -> Iterator[Daemon]:
    _skip_without(request.param)
    with standing(Wherryd(extra=("--storage-driver", request.param)), busybox_tar) as daemon:
        daemon.docker("load", input=images.docker_archive(["layered:latest"], _layers()))
        yield daemon


@pytest.fixture
def daemon(driven: Daemon) -> Iterator[Daemon]:
    yield driven
    driven.clear()
    left = driven.settled(driven.litter)
    assert not left, "left after the test's containers were removed:\n" + "\n".join(left)


def _helpers(daemon: Daemon) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"fuse-overlayfs") and (entry / "cwd").exists() and _of(entry, daemon):
                    found.append(entry.name)
            except OSError:
                continue
    return found


def _of(entry: Path, daemon: Daemon) -> bool:
    return f"WHERRY_TEST_DAEMON={daemon.name}".encode() in (entry / "environ").read_bytes()


def _directories(daemon: Daemon) -> set[str]:
    return {path.name for path in Path(daemon.data_root, "snapshots").iterdir()}


def test_info_names_it(daemon: Daemon, request: pytest.FixtureRequest) -> None:
    assert daemon.out("info", "-f", "{{.Driver}}") == request.node.callspec.params["driven"]


def test_the_root_is_the_merged_layers(daemon: Daemon) -> None:
    """Whiteouts hide, owners, modes and links are kept, and what is written is there."""
    script = "ls /www /opaque; stat -c '%u %g %a %h %s' /owned /twin; test /twin -ef /other-twin && echo twins"
    assert daemon.out("run", "--rm", "layered", "sh", "-c", script).split("\n") == [
        *("/opaque:", "new", "", "/www:"),
        *("1234 70000 4755 1 5000", "0 0 644 2 3", "twins"),
    ]


def test_diff_and_commit_say_what_changed(daemon: Daemon) -> None:
    """The same lines whoever merges: what is new, what is gone, and nothing that was only touched by a link."""
    steps = (
        *("rm -r /opaque /twin", "mkdir /opaque", "echo 1 > /opaque/mine", "mv /owned /moved", "chmod 4711 /moved"),
        *("mknod /n c 1 3", "echo seen > /n", "chmod 700 /www"),
    )
    daemon.docker("run", "--name", "writer", "layered", "sh", "-ec", "; ".join(steps))
    assert daemon.out("diff", "writer").split("\n") == [
        *("A /moved", "A /n", "C /opaque", "A /opaque/mine", "D /opaque/new", "D /owned", "D /twin", "C /www"),
    ]
    daemon.docker("commit", "writer", "written:latest")
    script = (
        "ls /opaque; stat -c '%a %u' /moved /other-twin; test -e /twin || test -e /owned || echo gone; stat -c %F /n"
    )
    assert daemon.out("run", "--rm", "written", "sh", "-c", script).split("\n") == [
        *("mine", "4711 1234", "644 0", "gone", "character special file"),
    ]
    assert daemon.out("run", "--rm", "layered", "cat", "/opaque/new") == "new"
    daemon.docker("rm", "writer")
    daemon.docker("rmi", "written")


def test_what_was_written_survives_a_restart_of_the_container(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "layered", "sh", "-c", "echo once >> /log; exec sleep 60")
    daemon.docker("restart", "-t", "0", "box")
    eventually("both starts have written", lambda: daemon.out("exec", "box", "cat", "/log") == "once\nonce", within=10)


def test_a_container_goes_on_without_the_daemon(daemon: Daemon) -> None:
    """kill -9 of the daemon: the program still reads and writes its root; then it stops and goes without a trace."""
    daemon.docker("run", "-d", "--name", "box", "layered", "sh", "-c", "while :; do date > /now; sleep 0.1; done")
    daemon.kill9()
    daemon.start()
    assert daemon.state("box") == "running"
    daemon.docker("exec", "box", "sh", "-c", "rm /now; sleep 0.5; cat /now; cat /opaque/new")
    daemon.docker("kill", "box")
    daemon.docker("start", "box")
    assert daemon.out("exec", "box", "cat", "/opaque/new") == "new"
    daemon.docker("rm", "-f", "box")
    eventually("no helper is left", lambda: not _helpers(daemon), within=10)


def test_one_that_ends_while_the_daemon_is_away_is_let_go(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "layered", "sleep", "1.5")
    daemon.kill9()
    daemon.start()
    eventually("it is known to have ended", lambda: daemon.state("box") == "exited", within=15)
    eventually("no helper is left", lambda: not _helpers(daemon), within=10)
    assert daemon.out("start", "-a", "box") == ""


def test_volumes_are_filled_from_the_image(daemon: Daemon) -> None:
    assert daemon.out("run", "--rm", "-v", "filled:/opaque", "layered", "ls", "/opaque") == "new"
    eventually("no helper is left", lambda: not _helpers(daemon), within=10)


def test_a_failed_start_leaves_nothing(daemon: Daemon) -> None:
    assert daemon.docker("run", "--rm", "layered", "no-such-program", check=False).returncode == 127
    eventually("no helper is left", lambda: not _helpers(daemon), within=10)


def test_removed_containers_take_their_directories_along(daemon: Daemon) -> None:
    daemon.docker("run", "--rm", "layered", "true")
    before = len(_directories(daemon))
    for _ in range(3):
        daemon.docker("run", "--rm", "layered", "true")
    eventually("the directories are gone", lambda: len(_directories(daemon)) <= before, within=10)


def test_size_is_what_the_container_wrote(daemon: Daemon) -> None:
    daemon.docker(
        "run", "--name", "box", "layered", "sh", "-c", "head -c 12345 /dev/zero > /big; rm /owned; touch /twin"
    )
    size = daemon.api("GET", "/containers/box/json?size=1").json()["SizeRw"]
    assert size == 12345 + 3


def test_another_runtime_has_the_same_root(make_daemon: Callable[..., Daemon]) -> None:
    """runc gets a directory where ours gets one."""
    runc = shutil.which("runc")
    if runc is None:
        pytest.skip("runc is not on this machine")
    daemon = make_daemon("--storage-driver", "native", "--add-runtime", f"runc={runc}")
    assert daemon.out("run", "--rm", "--runtime", "runc", "busybox", "sh", "-c", "echo a > /a; cat /a") == "a"


@pytest.mark.parametrize("driver", ["native", "fuse-overlayfs"])
def test_ids_of_a_user_namespace_are_the_roots_too(make_daemon: Callable[..., Daemon], driver: str) -> None:
    """With remapped users root inside owns the image's files, and the host sees the image's ids in them."""
    _skip_without(driver)
    daemon = make_daemon("--storage-driver", driver, "--userns-remap", "default")
    assert daemon.out("run", "--name", "box", "busybox", "sh", "-c", "touch /a; stat -c %u:%g /a /bin/busybox") == (
        "0:0\n0:0"
    )


def test_containers_stay_with_the_driver_that_made_them(make_daemon: Callable[..., Daemon]) -> None:
    """Images belong to all drivers; a container of the old one still starts after the change."""
    daemon = make_daemon("--storage-driver", "native")
    daemon.docker("run", "--name", "old", "busybox", "sh", "-c", "echo x >> /x; cat /x")
    daemon.stop()
    daemon.extra = ("--storage-driver", "overlay2")
    daemon.start()
    assert daemon.out("start", "-a", "old") == "x\nx"
    assert daemon.inspect("old")["GraphDriver"]["Name"] == "native"
    assert daemon.out("run", "--rm", "busybox", "echo", "new") == "new"


def test_an_unknown_driver_is_refused_in_dockers_words(docker_cli: str) -> None:
    daemon = Wherryd(extra=("--storage-driver", "zfs"))
    try:
        done = subprocess.run([*daemon.argv(), *daemon.extra], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1
        assert "driver not supported: zfs" in done.stderr
    finally:
        daemon.discard()
