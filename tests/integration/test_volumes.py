"""Volumes and bind mounts: files that outlive a container."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from support import images
from support.daemons import Daemon


def quick(daemon: Daemon, *args: str, **options: object) -> str:
    return daemon.docker("run", "--rm", "--network", "none", *args, **options).stdout


def test_a_named_volume_outlives_its_container(daemon: Daemon) -> None:
    quick(daemon, "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file")
    assert quick(daemon, "-v", "data:/elsewhere", "busybox", "cat", "/elsewhere/file") == "kept\n"


def test_create_list_inspect_remove(daemon: Daemon) -> None:
    assert daemon.out("volume", "create", "--label", "a=b", "data") == "data"
    assert daemon.out("volume", "ls", "--format", "{{.Driver}} {{.Name}}") == "local data"
    (seen,) = json.loads(daemon.out("volume", "inspect", "data"))
    assert (seen["Name"], seen["Driver"], seen["Scope"], seen["Labels"]) == ("data", "local", "local", {"a": "b"})
    assert seen["Mountpoint"].endswith("/volumes/data/_data")
    assert Path(seen["Mountpoint"]).is_dir()
    assert daemon.out("volume", "rm", "data") == "data"
    assert not Path(seen["Mountpoint"]).exists()


def test_create_twice_is_the_same_volume(daemon: Daemon) -> None:
    daemon.docker("volume", "create", "data")
    assert daemon.out("volume", "create", "data") == "data"
    assert daemon.out("volume", "ls", "-q") == "data"


def test_a_nameless_volume_goes_with_rm_v(daemon: Daemon) -> None:
    """An anonymous volume is removed by rm -v and by --rm, a named one is not."""
    daemon.docker("create", "--name", "cc", "-v", "/anonymous", "-v", "named:/n", "busybox")
    assert len(daemon.out("volume", "ls", "-q").split()) == 2
    daemon.docker("rm", "-v", "cc")
    assert daemon.out("volume", "ls", "-q") == "named"
    quick(daemon, "-v", "/anonymous", "busybox", "true")
    assert daemon.out("volume", "ls", "-q") == "named"


def test_a_volume_begins_with_the_images_content(daemon: Daemon) -> None:
    """An empty volume mounted over a folder of the image gets its content, once, and its owner and mode."""
    script = "cat /www/index.html; echo mine > /www/index.html"
    assert quick(daemon, "-v", "site:/www", "busybox", "sh", "-c", script) == "served from a container\n"
    assert quick(daemon, "-v", "site:/www", "busybox", "cat", "/www/index.html") == "mine\n"
    assert quick(daemon, "-v", "tmp:/tmp", "busybox", "stat", "-c", "%a", "/tmp") == "1777\n"
    assert quick(daemon, "-v", "bare:/www:nocopy", "busybox", "ls", "/www") == ""


def test_volumes_of_the_image(daemon: Daemon, busybox_layer: bytes) -> None:
    """VOLUME in the image makes an anonymous volume for each container."""
    daemon.docker("load", input=images.docker_archive(["vol:1"], [busybox_layer], Volumes={"/www": {}}))
    daemon.docker("create", "--name", "cc", "vol:1")
    (mount,) = daemon.inspect("cc")["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["Driver"], mount["RW"]) == ("volume", "/www", "local", True)
    assert re.fullmatch("[0-9a-f]{64}", mount["Name"])
    daemon.docker("rm", "-v", "cc")
    daemon.docker("rmi", "vol:1")


def test_a_bind_mount(daemon: Daemon, tmp_path: Path) -> None:
    """-v with a path shows the machine's folder, both ways; :ro refuses writes."""
    (tmp_path / "from-host").write_text("host\n")
    script = "cat /b/from-host; echo container > /b/from-container"
    assert quick(daemon, "-v", f"{tmp_path}:/b", "busybox", "sh", "-c", script) == "host\n"
    assert (tmp_path / "from-container").read_text() == "container\n"
    done = daemon.docker(
        "run", "--rm", "--network", "none", "-v", f"{tmp_path}:/b:ro", "busybox", "touch", "/b/x", check=False
    )
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_v_makes_a_missing_folder_and_mount_does_not(daemon: Daemon, tmp_path: Path) -> None:
    quick(daemon, "-v", f"{tmp_path}/made:/b", "busybox", "true")
    assert (tmp_path / "made").is_dir()
    mount = f"type=bind,source={tmp_path}/missing,target=/b"
    done = daemon.docker("run", "--rm", "--mount", mount, "busybox", "true", check=False)
    assert done.returncode == 125
    assert f"bind source path does not exist: {tmp_path}/missing" in done.stderr


def test_a_single_file_is_bound(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one file\n")
    assert quick(daemon, "-v", f"{tmp_path}/file:/etc/one:ro", "busybox", "cat", "/etc/one") == "one file\n"


def test_mount_syntax(daemon: Daemon, tmp_path: Path) -> None:
    """--mount type=volume, bind and tmpfs."""
    options = (
        *("--mount", "type=volume,source=data,target=/v"),
        *("--mount", f"type=bind,source={tmp_path},target=/b,readonly"),
        *("--mount", "type=tmpfs,target=/t,tmpfs-size=1m"),
    )
    printed = quick(
        daemon,
        *options,
        "busybox",
        "sh",
        "-c",
        "echo ok > /v/x; touch /b/x 2>/dev/null || echo ro; stat -fc %T /t; cat /v/x",
    )
    assert printed == "ro\ntmpfs\nok\n"


def test_volumes_from(daemon: Daemon) -> None:
    daemon.docker(
        "run", "--name", "source", "--network", "none", "-v", "data:/d", "busybox", "sh", "-c", "echo shared > /d/f"
    )
    assert quick(daemon, "--volumes-from", "source", "busybox", "cat", "/d/f") == "shared\n"
    done = daemon.docker(
        "run", "--rm", "--network", "none", "--volumes-from", "source:ro", "busybox", "touch", "/d/g", check=False
    )
    assert done.returncode == 1


def test_a_volume_in_use_is_not_removed(daemon: Daemon) -> None:
    """The refusal names the container, running or not."""
    name = daemon.out("create", "-v", "data:/d", "busybox")
    done = daemon.docker("volume", "rm", "data", check=False)
    assert done.returncode == 1
    assert f"volume is in use - [{name}]" in done.stderr
    daemon.docker("rm", name)
    daemon.docker("volume", "rm", "data")


def test_an_unknown_volume(daemon: Daemon) -> None:
    done = daemon.docker("volume", "rm", "nothing", check=False)
    assert done.returncode == 1
    assert re.search("nothing: no such volume|No such volume: nothing", done.stderr)


@pytest.mark.parametrize("name", ["a", "../up", "with space", "-dash"])
def test_a_bad_volume_name_is_refused(daemon: Daemon, name: str) -> None:
    answer = daemon.api("POST", "/volumes/create", {"Name": name})
    assert answer.status in {400, 500} if daemon.kind == "dockerd" else answer.status == 400
    assert "volume name" in answer.message
    assert daemon.out("volume", "ls", "-q") == ""


@pytest.mark.parametrize("spec", ["relative/path:/d", "data:relative", "/a:/b:sideways", ":", "data:/", "/x:/d:ro,rw"])
def test_a_bad_mount_spec_is_refused(daemon: Daemon, spec: str) -> None:
    answer = daemon.api("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Binds": [spec]}})
    assert answer.status in {400, 500} if daemon.kind == "dockerd" else answer.status == 400, answer.body
    assert daemon.out("ps", "-aq") == ""


def test_the_same_place_twice_is_refused(daemon: Daemon) -> None:
    done = daemon.docker("create", "-v", "first:/d", "-v", "second:/d", "busybox", check=False)
    assert done.returncode == 1
    assert "Duplicate mount point: /d" in done.stderr


def test_filters_and_prune(daemon: Daemon) -> None:
    daemon.docker("create", "--name", "cc", "-v", "used:/d", "busybox")
    daemon.docker("volume", "create", "--label", "k=v", "free")
    assert daemon.out("volume", "ls", "-q", "--filter", "dangling=true") == "free"
    assert daemon.out("volume", "ls", "-q", "--filter", "dangling=false") == "used"
    assert daemon.out("volume", "ls", "-q", "--filter", "label=k=v") == "free"
    assert daemon.out("volume", "ls", "-q", "--filter", "name=us") == "used"
    every = "?filters=" + quote('{"all":["true"]}') if daemon.kind == "wherryd" else ""
    pruned = daemon.api("POST", f"/volumes/prune{every}").json()  # before API 1.42 the named ones go unasked
    assert pruned["VolumesDeleted"] == ["free"]
    assert daemon.out("volume", "ls", "-q") == "used"


def test_propagation_is_private(daemon: Daemon) -> None:
    """What is mounted inside a container is not seen on the machine."""
    before = Path("/proc/self/mountinfo").read_text()
    daemon.docker("run", "-d", "--name", "cc", "--network", "none", "--tmpfs", "/deep", "busybox", "sleep", "60")
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert not [point for point in points if point.endswith("/deep")]
    assert len(points) >= len(before.splitlines())


def test_hundreds_of_files_survive(daemon: Daemon) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo $i > /d/$i; i=$((i+1)); done"
    quick(daemon, "-v", "data:/d", "busybox", "sh", "-c", script)
    (seen,) = json.loads(daemon.out("volume", "inspect", "data"))
    assert len(os.listdir(seen["Mountpoint"])) == 300


def test_a_link_in_the_image_does_not_lead_out(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """S3: a mount onto a symlink that points out of the root lands inside the root."""
    trap = images.Tar()
    trap.link("trap", f"../../../..{tmp_path}")
    daemon.docker("load", input=images.docker_archive(["trap:1"], [busybox_layer, trap.bytes()]))
    quick(daemon, "-v", "data:/trap/sub", "trap:1", "sh", "-c", "echo x > /trap/sub/file")
    assert list(tmp_path.iterdir()) == []
    daemon.docker("rmi", "trap:1")
