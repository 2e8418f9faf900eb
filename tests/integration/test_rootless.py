"""wherryd-rootless: what an ordinary user gets, and what he is told that he cannot have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.commands import PROJECT, eventually, run
from support.daemons import standing
from support.rootless import UID, Rootless, rootless_missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.net,
    pytest.mark.ours,
    pytest.mark.skipif(rootless_missing() is not None, reason=str(rootless_missing())),
]


@pytest.fixture(scope="module")
def rootless(docker_cli: str, busybox_tar: bytes) -> Iterator[Rootless]:
    with standing(Rootless(), busybox_tar) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def _empty(rootless: Rootless) -> Iterator[None]:
    yield
    assert rootless.running, rootless.tail()
    rootless.clear()


def test_root_inside_is_the_user_outside(rootless: Rootless):
    assert rootless.out("run", "--rm", "busybox", "id", "-u") == "0"
    rootless.docker("run", "-d", "--name", "one", "busybox", "sleep", "60")
    assert rootless.uid_of(rootless.inspect("one")["State"]["Pid"]) == UID
    assert rootless.uid_of(rootless.pid) == UID
    assert "rootless" in rootless.out("info", "-f", "{{.SecurityOptions}}")


def test_other_users_inside_are_his_subordinate_ids(rootless: Rootless):
    rootless.docker("run", "-d", "--name", "one", "-u", "1000", "busybox", "sleep", "60")
    assert rootless.uid_of(rootless.inspect("one")["State"]["Pid"]) == 300000 + 999


def test_a_published_port_is_served_on_the_host(rootless: Rootless):
    script = "mkdir /www; echo a page > /www/index.html; httpd -f -h /www"
    rootless.docker("run", "-d", "--name", "web", "-p", "18080:80", "busybox", "sh", "-c", script)
    page = lambda: rootless.box.run("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:18080/", check=False)  # noqa: E731
    eventually("the page", lambda: page() == "a page\n", within=5)
    taken = rootless.docker("run", "--rm", "-p", "18080:80", "busybox", "true", check=False)
    assert "port is already allocated" in taken.stderr
    rootless.docker("rm", "-f", "web")
    eventually("the port is free", lambda: ":18080" not in rootless.box.run("ss", "-ltn"), within=3)


def test_the_network_leads_out(rootless: Rootless):
    """slirp4netns answers for its own gateway; the container is behind a bridge, behind it."""
    assert "1 packets received" in rootless.out("run", "--rm", "busybox", "ping", "-c", "1", "-W", "3", "10.0.2.2")


def test_exec_and_terminals_and_volumes_work(rootless: Rootless):
    rootless.docker("run", "-d", "--name", "one", "-v", "data:/data", "busybox", "sleep", "60")
    assert rootless.out("exec", "one", "sh", "-c", "echo kept > /data/file; cat /data/file") == "kept"
    assert rootless.out("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/file") == "kept"
    assert rootless.out("run", "--rm", "-t", "busybox", "tty").strip() == "/dev/pts/0"
    assert "sleep 60" in rootless.out("top", "one")


def test_what_needs_a_control_group_says_so(rootless: Rootless):
    rootless.docker("run", "-d", "--name", "one", "busybox", "sleep", "60")
    if rootless.out("info", "-f", "{{.CgroupDriver}}") != "none":
        pytest.skip("this machine has delegated a control group")
    refused = rootless.docker("pause", "one", check=False)
    assert "no control group is delegated to this user" in refused.stderr
    limited = rootless.docker("run", "--rm", "--memory", "64m", "busybox", "true")
    assert "Limitation discarded" in limited.stderr


def test_containers_survive_the_daemons_death(rootless: Rootless):
    rootless.docker("run", "-d", "--name", "one", "-p", "18081:80", "busybox", "httpd", "-f")
    pid = rootless.inspect("one")["State"]["Pid"]
    rootless.kill9()
    rootless.start()
    assert rootless.inspect("one")["State"]["Pid"] == pid
    assert rootless.out("exec", "one", "echo", "still here") == "still here"
    rootless.docker("restart", "-t", "0", "one")
    assert rootless.state("one") == "running"


def test_root_is_told_to_start_wherryd(rootless: Rootless):
    refused = run(sys.executable, "-m", "wherry.daemon.rootless.main", check=False)
    assert refused.returncode == 1
    assert refused.stderr == "wherryd-rootless: wherryd-rootless is for ordinary users: as root start wherryd\n"


def test_the_demo(rootless: Rootless) -> None:
    """`make demo-rootless`, by the same user: run, exec, a published port, and nothing left."""
    script = rootless.user.root / "home" / "demo"
    script.mkdir()
    for name in ("first_light.py", "rootless.py"):
        (script / name).write_bytes((PROJECT / "demo" / name).read_bytes())
    argv = rootless.box.argv(*rootless.user.python(str(script / "rootless.py")))
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "inside I am 0" in done.stdout
    assert f"outside I am {UID}" in done.stdout
    assert "This page was served from a container run by wherry." in done.stdout
    name = done.stdout.split("--name ", 1)[1].split()[0]
    assert name not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True).stdout
