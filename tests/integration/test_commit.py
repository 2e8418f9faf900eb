"""docker commit, diff and export: what a container changed, as an image, as a list, as a tar."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images
from support.commands import eventually
from support.daemons import Daemon

CHANGES = """
set -e
echo new > /new; mkdir -p /a/b; ln /new /a/hard; ln -s ../new /a/sym; mkfifo /a/fifo
rm /www/index.html; rm -r /home; mkdir /home; echo x > /home/x
mv /etc/group /etc/group2; chmod 700 /root; chown 5:6 /etc/passwd; touch -d '2001-02-03 04:05:06' /a/b
"""


@pytest.fixture(autouse=True)
def _only_busybox(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.clear()
    daemon.clear_images()


def changed(daemon: Daemon, name: str = "made", script: str = CHANGES) -> str:
    """A container that has run ``script`` and ended."""
    daemon.docker("run", "--name", name, "--network", "none", "busybox", "sh", "-c", script)
    return name


def tree(daemon: Daemon, *args: str) -> str:
    """What is in a root, by busybox' own words."""
    script = "find / -xdev -path /dev -prune -o -print0 | sort -z | xargs -0 stat -c '%n %F %a %u %g %s %Y %h'"
    return daemon.out(*args, "sh", "-c", script)


def test_the_image_has_what_the_container_changed(daemon: Daemon) -> None:
    """Files, links, whiteouts, an emptied directory, owners, modes and times: the roots are the same."""
    changed(daemon)
    image = daemon.out("commit", "-m", "why", "-a", "Me <me@example>", "made", "committed:1")
    assert image.startswith("sha256:")
    before = tree(daemon, "run", "--rm", "--network", "none", "--entrypoint", "", "committed:1").splitlines()
    script = "cat /new /a/hard /a/sym /home/x; ls /home /www; stat -c '%a %u %g %Y' /root /etc/passwd /a/b"
    printed = daemon.out("run", "--rm", "--network", "none", "committed:1", "sh", "-c", script)
    assert printed.splitlines()[:5] == ["new", "new", "new", "x", "/home:"]
    assert "700 0 0" in printed
    assert "644 5 6" in printed
    assert "981173106" in printed
    assert not any(line.startswith(("/www/index.html", "/etc/group ")) for line in before)


def test_what_the_image_says_of_itself(daemon: Daemon) -> None:
    """History, parent, author, comment; the changes of -c over the container's configuration."""
    changed(daemon, script="echo 1 > /one")
    daemon.docker(
        *("commit", "-m", "why", "-a", "me", "-c", "ENV A=b", "-c", 'CMD ["cat", "/one"]', "-c", "EXPOSE 80"),
        *("-c", "LABEL l=v", "-c", "WORKDIR /tmp", "made", "committed:1"),
    )
    found = json.loads(daemon.out("image", "inspect", "committed:1"))[0]
    parent = json.loads(daemon.out("image", "inspect", "busybox"))[0]
    assert found["Parent"] == parent["Id"]
    assert (found["Author"], found["Comment"]) == ("me", "why")
    assert found["Config"]["Env"] == [images.PATH, "A=b"]
    assert found["Config"]["Cmd"] == ["cat", "/one"]
    assert found["Config"]["Labels"] == {"l": "v"}
    assert found["Config"]["WorkingDir"] == "/tmp"
    assert found["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert found["RootFS"]["Layers"][:-1] == parent["RootFS"]["Layers"]
    newest = daemon.out("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "committed:1").splitlines()[
        0
    ]
    assert newest == "sh -c echo 1 > /one|why"
    assert daemon.out("run", "--rm", "--network", "none", "committed:1") == "1"
    done = daemon.docker("rmi", "busybox", check=False)
    assert done.returncode == 1
    assert "conflict" in done.stderr.lower()


def test_a_new_entrypoint_drops_the_command(daemon: Daemon) -> None:
    daemon.docker("create", "--name", "made", "busybox", "sh", "-c", "true")
    daemon.docker("commit", "-c", 'ENTRYPOINT ["echo"]', "made", "entered:1")
    config = json.loads(daemon.out("image", "inspect", "entered:1"))[0]["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["echo"], None)


def test_nothing_changed_adds_no_layer(daemon: Daemon) -> None:
    daemon.docker("create", "--name", "made", "busybox", "true")
    daemon.docker("commit", "made", "same:1")
    found = json.loads(daemon.out("image", "inspect", "same:1"))[0]
    assert found["RootFS"] == json.loads(daemon.out("image", "inspect", "busybox"))[0]["RootFS"]


def test_it_stands_still_meanwhile(daemon: Daemon) -> None:
    """A running container is paused and let go, and says so; with --pause=false it is neither."""
    daemon.docker("run", "-d", "--name", "made", "--network", "none", "busybox", "sleep", "1000")
    begun = json.loads(daemon.out("info", "--format", "{{json .SystemTime}}"))

    def actions() -> list[str]:
        now = json.loads(daemon.out("info", "--format", "{{json .SystemTime}}"))
        filters = ("--filter", "container=made", "--filter", "type=container", "--format", "{{.Action}}")
        return daemon.out("events", "--since", begun, "--until", now, *filters).split()

    daemon.docker("commit", "made", "still:1")
    assert daemon.state("made") == "running"
    assert sorted(actions()) == ["commit", "pause", "unpause"]
    daemon.docker("commit", "--pause=false", "made", "moving:1")
    assert sorted(actions()) == ["commit", "commit", "pause", "unpause"]
    daemon.docker("pause", "made")
    daemon.docker("commit", "made", "paused:1")
    assert daemon.state("made") == "paused"


def test_by_the_sdk(daemon: Daemon) -> None:
    """A configuration in the body takes the place of the container's, and its gaps are filled from it."""
    daemon.docker("create", "--name", "made", "-e", "OWN=1", "busybox", "echo", "own")
    client = daemon.sdk()
    try:
        image = client.containers.get("made").commit("by/sdk", "1", conf={"Cmd": ["echo", "body"]}, author="sdk")
        assert image.tags == ["by/sdk:1"]
        assert image.attrs["Config"]["Cmd"] == ["echo", "body"]
        assert "OWN=1" in image.attrs["Config"]["Env"]
    finally:
        client.close()
    assert daemon.out("run", "--rm", "--network", "none", "by/sdk:1") == "body"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("gone", "x:1"), "No such container: gone"),
        (("made", "UPPER"), "must be lowercase"),
        (("-c", "RUN true", "made"), "run is not a valid change command"),
    ],
)
def test_what_cannot_be_committed(daemon: Daemon, args: tuple[str, ...], words: str) -> None:
    daemon.docker("create", "--name", "made", "busybox", "true")
    done = daemon.docker("commit", *args, check=False)
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.ours
def test_a_daemon_that_dies_leaves_nothing_paused(make_daemon: Callable[..., Daemon]) -> None:
    """Killed while it copies, the next daemon lets the container run again, and there is no image."""
    daemon = make_daemon()
    # A hole is quickly made, and takes a while to copy.
    script = "truncate -s 400M /large; echo ready; exec sleep 1000"
    daemon.docker("run", "-d", "--name", "made", "--network", "none", "busybox", "sh", "-c", script)
    eventually("the files are there", lambda: "ready" in daemon.out("logs", "made"), within=60)
    client = daemon.spawn("commit", "made", "half:1")
    eventually("it is paused", lambda: daemon.state("made") == "paused", within=20)
    daemon.kill9()
    client.wait(20)
    client.communicate()
    daemon.start()
    assert daemon.state("made") == "running"
    assert "half" not in daemon.out("images")


def test_the_list_of_changes(daemon: Daemon) -> None:
    """docker diff: what was added, changed and deleted, directories with their content, nothing else."""
    changed(daemon)
    found = sorted(daemon.out("diff", "made").splitlines())
    added = "/new /a /a/b /a/hard /a/sym /a/fifo /home/x /etc/group2"
    other = ["C /www", "D /www/index.html", "C /home", "C /etc", "D /etc/group", "C /root", "C /etc/passwd"]
    assert found == sorted([*(f"A {path}" for path in added.split()), *other])
    daemon.docker("create", "--name", "new", "busybox", "true")
    assert daemon.out("diff", "new") == ""
    assert "No such container" in daemon.docker("diff", "gone", check=False).stderr


def test_export_is_the_whole_root(daemon: Daemon, tmp_path: Path) -> None:
    """Without layers or whiteouts; imported again it is the same root."""
    changed(daemon)
    target = tmp_path / "root.tar"
    daemon.docker("export", "-o", str(target), "made")
    members: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(target) as tar:
        members = {member.name: member for member in tar}
        assert tar.extractfile("new").read() == b"new\n"  # type: ignore[union-attr]
    assert {"bin/busybox", "a/b", "home/x", "etc/group2"} <= set(members)
    assert not {"www/index.html", "etc/group"} & set(members)
    assert not any(os.path.basename(name).startswith(".wh.") for name in members)
    assert (members["etc/passwd"].uid, members["etc/passwd"].gid) == (5, 6)
    assert {members["new"].type, members["a/hard"].type} == {tarfile.REGTYPE, tarfile.LNKTYPE}
    daemon.docker("import", str(target), "again:1")
    assert daemon.out("run", "--rm", "--network", "none", "again:1", "cat", "/a/sym") == "new"


def test_a_racer_leads_nowhere_else(daemon: Daemon, tmp_path: Path) -> None:
    """S9: a container that swaps a directory with a link to the host's files gets none of them in its image."""
    script = """
mkdir /d; echo inside > /d/passwd; ln -s /etc /l
while :; do mv /d /t; mv /l /d; mv /d /l; mv /t /d; done
"""
    daemon.docker("run", "-d", "--name", "racer", "--network", "none", "busybox", "sh", "-c", script)
    canary = "wherry-canary-of-the-host"
    with open(f"/etc/{canary}", "w") as file:
        file.write("host")
    try:
        for number in range(6):
            daemon.docker("commit", "--pause=false", "racer", f"raced:{number}")
            daemon.docker("save", "-o", str(tmp_path / "raced.tar"), f"raced:{number}")
            assert canary.encode() not in (tmp_path / "raced.tar").read_bytes()
    finally:
        os.unlink(f"/etc/{canary}")


def test_what_is_odd_survives(daemon: Daemon, tmp_path: Path) -> None:
    """Capabilities, attributes, a device, a sparse file, names that are not UTF-8: through commit, save and load."""
    script = """printf x > "$(printf 'odd\\377name')"; mknod /dev.null c 1 3
dd if=/dev/zero of=/hole bs=1 count=1 seek=5M 2>/dev/null"""
    changed(daemon, script=script)
    daemon.docker("commit", "made", "odd:1")
    daemon.docker("save", "-o", str(tmp_path / "odd.tar"), "odd:1")
    daemon.docker("rmi", "odd:1")
    daemon.docker("load", "-q", "-i", str(tmp_path / "odd.tar"))
    check = "stat -c '%F %t %T' /dev.null; stat -c %s /hole; cat \"$(printf '/odd\\377name')\""
    printed = daemon.out("run", "--rm", "--network", "none", "odd:1", "sh", "-c", check).splitlines()
    assert printed == ["character special file 1 3", "5242881", "x"]
