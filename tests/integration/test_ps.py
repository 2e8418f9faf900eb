"""``docker ps``: the list, its filters and its formats; and ``inspect``, ``rename``, ``rm``."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from support.daemons import Daemon


@pytest.fixture
def three(daemon: Daemon) -> dict[str, str]:
    """One container created, one running, one that exited with 3."""
    made = {
        "new": daemon.out("create", "--name", "new", "-l", "tier=web", "--network", "none", "busybox", "true"),
        "up": daemon.out("run", "-d", "--name", "up", "-l", "tier=db", "--network", "none", "busybox", "sleep", "60"),
        "over": daemon.out("run", "-d", "--name", "over", "--network", "none", "busybox", "sh", "-c", "exit 3"),
    }
    daemon.docker("wait", "over")
    return made


def names(daemon: Daemon, *args: str) -> list[str]:
    return daemon.out("ps", "--format", "{{.Names}}", *args).split()


def test_only_running_unless_all(daemon: Daemon, three: dict[str, str]) -> None:
    assert names(daemon) == ["up"]
    assert names(daemon, "-a") == ["over", "up", "new"]  # newest first


def test_the_table(daemon: Daemon, three: dict[str, str]) -> None:
    """The columns that people know."""
    head, *rows = daemon.out("ps", "-a").splitlines()
    assert head.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    over, up, new = rows
    assert re.match(rf'{three["over"][:12]} +busybox +"sh -c \'exit 3\'" +.* ago +Exited \(3\) .* ago +over$', over)
    assert re.match(rf'{three["up"][:12]} +busybox +"sleep 60" +.* ago +Up .* up$', up)
    assert re.match(rf'{three["new"][:12]} +busybox +"true" +.* ago +Created +new$', new)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["status=exited"], ["over"]),
        (["status=created"], ["new"]),
        (["status=exited", "status=created"], ["over", "new"]),
        (["exited=3"], ["over"]),
        (["exited=0"], []),
        (["name=ov"], ["over"]),
        (["name=^up$"], ["up"]),
        (["label=tier"], ["up", "new"]),
        (["label=tier=web"], ["new"]),
        (["label=tier", "status=running"], ["up"]),
        (["ancestor=busybox"], ["over", "up", "new"]),
        (["ancestor=busybox:latest", "name=new"], ["new"]),
        (["network=none"], ["over", "up", "new"]),
        (["network=bridge"], []),
        (["before=up"], ["new"]),
        (["since=up"], ["over"]),
        (["volume=nothing"], []),
        (["publish=80"], []),
        (["is-task=true"], []),
        (["health=none"], ["over", "up", "new"]),
    ],
)
def test_filters(daemon: Daemon, three: dict[str, str], filters: list[str], expected: list[str]) -> None:
    args = [word for one in filters for word in ("--filter", one)]
    assert names(daemon, "-a", *args) == expected


def test_filter_by_id(daemon: Daemon, three: dict[str, str]) -> None:
    assert names(daemon, "-a", "--filter", f"id={three['new'][:8]}") == ["new"]


def test_filter_by_volume_and_port(daemon: Daemon) -> None:
    """volume by name or destination, expose by container port, publish by host port (of a running container)."""
    options = ("-v", "data:/d", "-p", "8085:80", "--expose", "90")
    daemon.docker("run", "-d", "--name", "with", *options, "busybox", "sleep", "60")
    assert names(daemon, "-a", "--filter", "volume=data") == ["with"]
    assert names(daemon, "-a", "--filter", "volume=/d") == ["with"]
    assert names(daemon, "-a", "--filter", "expose=90") == ["with"]
    assert names(daemon, "-a", "--filter", "expose=91/tcp") == []
    assert names(daemon, "-a", "--filter", "publish=8085") == ["with"]
    assert names(daemon, "-a", "--filter", "publish=80") == []


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ('{"colour":["red"]}', "invalid filter 'colour'"),
        ('{"status":["sleepy"]}', "sleepy"),
        ('{"exited":["many"]}', "many|invalid"),
        ("{nonsense", "invalid|error"),
        ('{"before":["nobody-here"]}', "no such container:? nobody-here"),
    ],
)
def test_a_bad_filter_is_refused(daemon: Daemon, filters: str, words: str) -> None:
    """An unknown filter or value is an error that names it, never an unfiltered list."""
    answer = daemon.api("GET", f"/containers/json?all=1&filters={quote(filters)}")
    assert answer.status in ({400, 404, 500} if daemon.kind == "dockerd" else {400, 404}), answer.body
    assert re.search(words, answer.message, re.IGNORECASE)


def test_last_and_latest(daemon: Daemon, three: dict[str, str]) -> None:
    assert names(daemon, "-n", "2") == ["over", "up"]
    assert names(daemon, "-l") == ["over"]


def test_quiet_and_no_trunc(daemon: Daemon, three: dict[str, str]) -> None:
    assert daemon.out("ps", "-q") == three["up"][:12]
    assert daemon.out("ps", "-q", "--no-trunc") == three["up"]


def test_size(daemon: Daemon) -> None:
    """-s shows what the container wrote and what it stands on."""
    daemon.docker("run", "--name", "wrote", "--network", "none", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /f")
    shown = daemon.out("ps", "-a", "-s", "--format", "{{.Size}}")
    match = re.match(r"([\d.]+)kB \(virtual ([\d.]+)MB\)", shown)
    assert match
    assert 100 <= float(match[1]) <= 115


def test_inspect_by_format(daemon: Daemon, three: dict[str, str]) -> None:
    fmt = "{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.HostConfig.NetworkMode}} {{json .Config.Cmd}}"
    assert daemon.out("inspect", "--format", fmt, "over") == '/over exited 3 none ["sh","-c","exit 3"]'


def test_inspect_several_and_unknown(daemon: Daemon, three: dict[str, str]) -> None:
    """What exists is printed, what does not is named on stderr, and the exit code is 1."""
    done = daemon.docker("inspect", "up", "nobody-here", "new", check=False)
    assert done.returncode == 1
    assert [item["Name"] for item in json.loads(done.stdout)] == ["/up", "/new"]
    assert "nobody-here" in done.stderr


def test_inspect_has_dockers_shape(daemon: Daemon, three: dict[str, str]) -> None:
    """The fields that tools read are there, with their types."""
    seen = daemon.inspect("up")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", seen["Created"])
    assert seen["Image"].startswith("sha256:")
    assert seen["State"]["Running"] is True
    assert isinstance(seen["State"]["Pid"], int)
    assert seen["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert seen["GraphDriver"]["Name"] in {"overlay2", "overlayfs"}
    assert seen["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}
    assert seen["HostConfig"]["ShmSize"] == 64 << 20
    assert seen["NetworkSettings"]["Networks"]["none"]["NetworkID"]
    assert seen["Config"]["Image"] == "busybox"
    assert seen["Driver"] == "overlay2"
    assert seen["Platform"] == "linux"
    assert seen["Mounts"] == []


def test_by_name_by_id_by_prefix(daemon: Daemon, three: dict[str, str]) -> None:
    """A container answers to its name, its id and any prefix that only it has."""
    for key in ("up", three["up"], three["up"][:12], three["up"][:5], "/up"):
        assert daemon.out("inspect", "--format", "{{.Id}}", key) == three["up"]


def test_rename(daemon: Daemon, three: dict[str, str]) -> None:
    daemon.docker("rename", "up", "risen")
    assert names(daemon) == ["risen"]
    done = daemon.docker("rename", "risen", "over", check=False)
    assert done.returncode == 1
    assert 'The container name "/over" is already in use' in done.stderr
    assert daemon.docker("rename", "risen", "bad name", check=False).returncode == 1
    daemon.docker("rename", "risen", "up")


def test_rm_of_a_running_container_needs_force(daemon: Daemon, three: dict[str, str]) -> None:
    done = daemon.docker("rm", "up", check=False)
    assert done.returncode == 1
    assert "running" in done.stderr
    assert daemon.out("rm", "-f", "up") == "up"
    assert daemon.out("rm", "over", "new") == "over\nnew"
    assert names(daemon, "-a") == []


def test_rm_of_an_unknown_container(daemon: Daemon) -> None:
    done = daemon.docker("rm", "nobody-here", check=False)
    assert done.returncode == 1
    assert "No such container: nobody-here" in done.stderr


def test_container_prune(daemon: Daemon, three: dict[str, str]) -> None:
    """prune takes what is stopped and says how much it freed."""
    printed = daemon.out("container", "prune", "-f")
    assert three["over"] in printed
    assert three["new"] in printed
    assert "Total reclaimed space:" in printed
    assert names(daemon, "-a") == ["up"]


def test_prune_by_label(daemon: Daemon, three: dict[str, str]) -> None:
    daemon.docker("container", "prune", "-f", "--filter", "label=tier=web")
    assert names(daemon, "-a") == ["over", "up"]
