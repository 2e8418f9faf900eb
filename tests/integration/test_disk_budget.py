"""One cap over images and logs: what was used longest ago goes, what is used or kept stays; and each byte explained."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import eventually, run
from support.daemons import Daemon
from support.fsck import WHERRY
from support.images import docker_archive, small_layer

pytestmark = [pytest.mark.ours, pytest.mark.root]

MEGABYTE = 1_000_000


def big(daemon: Daemon, name: str, letter: str) -> None:
    """Load an image of 4 MB: 2 MB of blob and 2 MB of layer."""
    daemon.docker("load", "-q", input=docker_archive([name], [small_layer(big=letter * 2 * MEGABYTE)]))


def tags(daemon: Daemon) -> set[str]:
    return {*daemon.out("images", "--format", "{{.Repository}}:{{.Tag}}").split()}


def settle(daemon: Daemon, expected: set[str]) -> None:
    eventually(f"the images are {expected}", lambda: tags(daemon) == expected)


def explained(daemon: Daemon) -> dict:
    answer = daemon.api("GET", "/wherry/df")
    assert answer.status == 200
    return answer.json()


def test_the_least_recently_used_goes(make_daemon: Callable[..., Daemon]) -> None:
    """Four of 4 MB under 13 MB: one too many. A container's image never goes, however old."""
    daemon = make_daemon("--disk-budget", "13000000", "--disk-keep-images", "0", load=False)
    for name, letter in (("a:1", "a"), ("b:1", "b"), ("c:1", "c")):
        big(daemon, name, letter)
    daemon.docker("create", "--name", "user", "a:1", "none")
    identifier = daemon.out("image", "inspect", "-f", "{{.Id}}", "b:1")
    big(daemon, "d:1", "d")
    settle(daemon, {"a:1", "c:1", "d:1"})
    query = ("events", "--since", "1m", "--until", "0s", "--filter", "event=delete", "--format", "{{.ID}}")
    eventually("its end is told", lambda: daemon.out(*query).split() == [identifier])
    big(daemon, "e:1", "e")
    settle(daemon, {"a:1", "d:1", "e:1"})
    daemon.docker("rm", "user")
    budget = explained(daemon)["Budget"]
    assert budget["Limit"] == 13 * MEGABYTE
    assert budget["Used"] <= budget["Limit"]


def test_being_used_counts_as_young(make_daemon: Callable[..., Daemon]) -> None:
    """A container made of it, though gone again, makes an old image younger than the next, across a restart."""
    daemon = make_daemon("--disk-budget", "13000000", "--disk-keep-images", "0", load=False)
    for name, letter in (("a:1", "a"), ("b:1", "b"), ("c:1", "c")):
        big(daemon, name, letter)
    daemon.docker("create", "--name", "user", "a:1", "none")
    daemon.docker("rm", "user")
    daemon.restart()
    big(daemon, "d:1", "d")
    settle(daemon, {"a:1", "c:1", "d:1"})


def test_the_last_of_a_repository_stays(make_daemon: Callable[..., Daemon]) -> None:
    """Two of each repository are kept, whatever the cap; and what cannot be kept under it is said in the log."""
    daemon = make_daemon("--disk-budget", "1m", "--disk-keep-images", "2", load=False)
    for number, letter in enumerate("abc"):
        big(daemon, f"one:{number}", letter)
    big(daemon, "two:0", "d")
    settle(daemon, {"one:1", "one:2", "two:0"})
    eventually("the log says so", lambda: "nothing that may be removed" in daemon.tail())


def test_rotated_logs_of_stopped_containers_go(make_daemon: Callable[..., Daemon]) -> None:
    """Where images are not enough."""
    daemon = make_daemon("--disk-budget", "4600000", "--disk-keep-images", "0")
    options = ("--log-opt", "max-size=100k", "--log-opt", "max-file=8")
    daemon.docker("run", "--name", "noisy", *options, "busybox", "sh", "-c", "seq 1 60000")
    directory = Path(daemon.data_root, "containers", daemon.inspect("noisy")["Id"])
    big(daemon, "one:1", "a")
    eventually("rotated logs are gone", lambda: len([*directory.glob("*-json.log.*")]) == 0)
    assert daemon.out("logs", "noisy").splitlines()[-1] == "60000"


def test_bad_settings_are_refused(make_daemon: Callable[..., Daemon]) -> None:
    """In words, before anything starts."""
    program = str(Path(sys.executable).with_name("wherryd"))
    done = run(program, "--disk-budget", "much", check=False)
    assert (done.returncode, done.stderr) == (1, "wherryd: invalid size: 'much'\n")
    done = run(program, "--disk-keep-images", "-1", check=False)
    assert (done.returncode, done.stderr) == (1, "wherryd: invalid disk-keep-images: -1\n")


def test_every_byte_is_explained(own_daemon: Daemon) -> None:
    """The areas add up to what du says; ``df -v`` shows them after Docker's tables."""
    shared = small_layer(base="s" * MEGABYTE)
    for name in ("x", "y"):
        archive = docker_archive([f"{name}:1"], [shared, small_layer(own=name * MEGABYTE)])
        own_daemon.docker("load", "-q", input=archive)
    own_daemon.docker("run", "--name", "one", "-v", "data:/data", "busybox", "sh", "-c", "echo out; echo 1 > /f")
    whole = explained(own_daemon)
    du = int(run("du", "-s", "-B1", own_daemon.data_root).stdout.split()[0])
    assert abs(whole["Allocated"] - du) <= 64 * 1024  # the journal of events is written meanwhile
    areas = {area["Name"]: area for area in whole["Areas"]}
    assert areas["layers"]["Items"] == 4
    assert areas["volumes"]["Items"] == 1
    assert areas["logs"]["Size"] > 0
    images = {image["Names"][0]: image for image in whole["Images"]}
    for name in ("x:1", "y:1"):
        assert images[name]["LayerShared"] >= MEGABYTE
        assert images[name]["LayerUnique"] >= MEGABYTE
        assert [layer["Images"] for layer in images[name]["Layers"]] == [2, 1]
    (container,) = whole["Containers"]
    assert container["Id"] == own_daemon.inspect("one")["Id"]
    shown = subprocess.run(
        [WHERRY, "-H", own_daemon.host, "system", "df", "-v"], capture_output=True, text=True, check=True
    ).stdout
    assert "Images space usage:" in shown
    assert "Bytes on disk:" in shown
    assert json.loads(own_daemon.out("system", "df", "--format", "{{json .}}").splitlines()[0])["Type"] == "Images"
