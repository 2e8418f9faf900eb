"""``docker events``: what happened, as it happens and afterwards; and ``system df``, ``info``, ``version``."""

from __future__ import annotations

import json
import time

from support.commands import eventually
from support.daemons import Daemon


def now(daemon: Daemon) -> str:
    return f"{time.time():.9f}"


def between(daemon: Daemon, since: str, *args: str) -> list[dict]:
    lines = daemon.out("events", "--since", since, "--until", now(daemon), "--format", "{{json .}}", *args).splitlines()
    return [json.loads(line) for line in lines]


def test_the_story_of_a_run(daemon: Daemon) -> None:
    """What run --rm causes, in Docker's words and order."""
    since = now(daemon)
    daemon.docker("run", "--rm", "--name", "told", "busybox", "sh", "-c", "exit 3", check=False)
    eventually("the destroy", lambda: any(item["Action"] == "destroy" for item in between(daemon, since)))
    story = [f"{item['Type']} {item['Action']}" for item in between(daemon, since)]
    assert [line for line in story if line.startswith("container")] == [
        "container create",
        "container attach",
        "container start",
        "container die",
        "container destroy",
    ]
    assert "network connect" in story
    assert story.index("network disconnect") > story.index("network connect")


def test_an_event_carries_its_attributes(daemon: Daemon) -> None:
    since = now(daemon)
    name = daemon.out("run", "-d", "--name", "told", "-l", "a=b", "--network", "none", "busybox", "sh", "-c", "exit 3")
    daemon.docker("wait", name)
    (died,) = eventually("the death", lambda: between(daemon, since, "--filter", "event=die"))
    attributes = died["Actor"]["Attributes"]
    assert died["Actor"]["ID"] == name
    assert {"image": "busybox", "name": "told", "exitCode": "3", "a": "b"}.items() <= attributes.items()
    assert died["scope"] == "local"
    assert died["timeNano"] // 1_000_000_000 == died["time"]


def test_filters(daemon: Daemon) -> None:
    since = now(daemon)
    for name in ("one", "two"):
        daemon.docker("create", "--name", name, "-l", f"n={name}", "busybox")
    daemon.docker("volume", "create", "data")

    def said(*filters: str) -> list[str]:
        args = [word for one in filters for word in ("--filter", one)]
        return [
            f"{item['Type']} {item['Action']} {item['Actor']['Attributes'].get('name', '')}"
            for item in between(daemon, since, *args)
        ]

    assert said("container=one") == ["container create one"]
    assert said("label=n=two") == ["container create two"]
    assert said("type=volume") == ["volume create "]
    assert said("event=create", "type=container") == ["container create one", "container create two"]
    assert said("image=busybox") == ["container create one", "container create two"]


def test_live_events(daemon: Daemon) -> None:
    """events follows from now on, and shows a kill and a die."""
    following = daemon.spawn("events", "--format", "{{.Action}}", "--filter", "type=container")
    assert following.stdout is not None
    time.sleep(0.3)
    daemon.docker("run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "60")
    daemon.docker("kill", "cc")
    seen = [following.stdout.readline().decode().strip() for _ in range(4)]
    following.terminate()
    following.communicate()
    assert seen == ["create", "start", "kill", "die"]


def test_what_people_do_is_told(daemon: Daemon) -> None:
    """pause, unpause, rename, exec, tag, untag, network and volume events."""
    since = now(daemon)
    daemon.docker("run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "60")
    daemon.docker("pause", "cc")
    daemon.docker("unpause", "cc")
    daemon.docker("rename", "cc", "dd")
    daemon.docker("exec", "dd", "true")
    daemon.docker("restart", "-t", "0", "dd")
    daemon.docker("tag", "busybox", "other:1")
    daemon.docker("rmi", "other:1")
    daemon.docker("network", "create", "nn")
    daemon.docker("network", "rm", "nn")
    daemon.docker("volume", "create", "vv")
    daemon.docker("volume", "rm", "vv")
    story = [f"{item['Type']} {item['Action']}" for item in between(daemon, since)]
    expected = [
        "container create", "container start", "container pause", "container unpause", "container rename",
        "container exec_create: true ", "container exec_start: true ", "container exec_die",
        "container kill", "container die", "container stop", "container start", "container restart",
        "image tag", "image untag", "network create", "network destroy", "volume create", "volume destroy",
    ]  # fmt: skip
    told = [line.strip() for line in story]
    position = 0
    for line in expected:
        assert line.strip() in told[position:], f"{line!r} is missing or out of order in {told}"
        if not line.startswith("network"):
            position = told.index(line.strip(), position)


def test_since_and_until_end_by_themselves(daemon: Daemon) -> None:
    begun = time.monotonic()
    assert daemon.out("events", "--since", "1h", "--until", "0s", "--filter", "container=nobody") == ""
    assert time.monotonic() - begun < 3


def test_system_df(daemon: Daemon) -> None:
    """system df counts images, containers and volumes, and what could be freed."""
    daemon.docker(
        "run",
        "--name",
        "cc",
        "--network",
        "none",
        "-v",
        "data:/d",
        "busybox",
        "sh",
        "-c",
        "head -c 200000 /dev/zero > /d/f",
    )
    rows = {line.split("  ")[0]: line.split() for line in daemon.out("system", "df").splitlines()}
    assert rows["Images"][1:3] == ["1", "1"]
    assert rows["Containers"][1:3] == ["1", "0"]
    assert rows["Local Volumes"][2:4] == ["1", "1"]
    assert "Build Cache" in rows
    detail = daemon.api("GET", "/system/df").json()
    assert 200_000 <= detail["Volumes"][0]["UsageData"]["Size"] < 220_000
    assert detail["Volumes"][0]["UsageData"]["RefCount"] == 1
    assert detail["Images"][0]["Containers"] == 1


def test_system_prune(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "cc", "--network", "none", "busybox", "true")
    daemon.docker("network", "create", "unused")
    printed = daemon.out("system", "prune", "-f")
    assert "Deleted Containers:" in printed
    assert "Deleted Networks:\nunused" in printed
    assert "Total reclaimed space:" in printed


def test_info(daemon: Daemon) -> None:
    """info counts what there is and names the roots and drivers."""
    daemon.docker("run", "-d", "--network", "none", "busybox", "sleep", "60")
    seen = json.loads(daemon.out("info", "--format", "{{json .}}"))
    assert (seen["Containers"], seen["ContainersRunning"], seen["Images"]) == (1, 1, 1)
    assert seen["DockerRootDir"] == daemon.data_root
    assert seen["Driver"] == "overlay2"
    assert seen["CgroupDriver"] == "cgroupfs"
    assert {"bridge", "host", "null"} <= set(seen["Plugins"]["Network"])
    assert seen["OSType"] == "linux"
    assert seen["NCPU"] >= 1
    assert "Server Version" in daemon.out("info")


def test_version(daemon: Daemon) -> None:
    shown = daemon.out("version")
    assert "Server" in shown
    seen = daemon.api("GET", "/version").json()
    assert tuple(map(int, seen["ApiVersion"].split("."))) >= (1, 41)
    assert seen["Os"] == "linux"
    assert {item["Name"] for item in seen["Components"]} >= {"Engine"}
