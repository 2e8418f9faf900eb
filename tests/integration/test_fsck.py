"""``wherry system fsck``: every difference between state, disk and kernel is named, mended, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import eventually
from support.daemons import Daemon
from support.fsck import WHERRY, fsck
from support.images import docker_archive, small_layer

pytestmark = [pytest.mark.ours, pytest.mark.root]


def kinds(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["Kind"] for finding in findings}


def blob(daemon: Daemon, digest: str) -> Path:
    return Path(daemon.data_root, "content/blobs/sha256", digest.removeprefix("sha256:"))


def rows(daemon: Daemon, query: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(f"{daemon.data_root}/state.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def change(daemon: Daemon, statement: str) -> None:
    database = sqlite3.connect(f"{daemon.data_root}/state.db", timeout=5)
    try:
        database.execute(statement)
        database.commit()
    finally:
        database.close()


def layer_directory(daemon: Daemon) -> Path:
    """That of the only layer of busybox."""
    ((number,),) = rows(daemon, "SELECT number FROM snapshot WHERE kind = 'committed'")
    return Path(daemon.data_root, "snapshots", str(number))


def test_strays_are_named_and_removed(own_daemon: Daemon) -> None:
    """What nobody recorded, on disk and in the kernel; the words are for people, the exit code for scripts."""
    data, run = Path(own_daemon.data_root), Path(own_daemon.exec_root)
    own_daemon.docker("run", "-d", "--name", "running", "-p", "0:80", "busybox", "sleep", "600")
    assert fsck(own_daemon) == (0, [])
    assert (
        "clean"
        in subprocess.run(
            [WHERRY, "-H", own_daemon.host, "system", "fsck"], capture_output=True, text=True, check=True
        ).stdout
    )
    (data / "snapshots/99").mkdir()
    (data / "containers" / ("ab" * 32)).mkdir()
    (data / "content/blobs/sha256" / ("cd" * 32)).write_text("x")
    (data / "content/ingest/left").write_text("x")
    (data / "volumes/found/_data").mkdir(parents=True)
    (data / "volumes/found/_data/file").write_text("x")
    (run / "containers/ghost").mkdir()
    bridge = f"{own_daemon.name}0"
    own_daemon.box.run("ip", "link", "add", "stray0", "type", "veth", "peer", "name", "stray1")
    own_daemon.box.run("ip", "link", "set", "stray0", "master", bridge)
    own_daemon.box.run("nft", "add", "rule", "inet", own_daemon.name, "forward", "drop")
    change(own_daemon, "INSERT INTO lease (id, kind, key) VALUES ('old', 'image', 'x')")
    expected = {
        *("snapshot-orphan", "container-orphan", "blob-orphan", "ingest-orphan", "volume-unrecorded"),
        *("bundle-orphan", "link-orphan", "firewall-altered", "lease-stale"),
    }
    code, found = fsck(own_daemon)
    assert (code, kinds(found)) == (1, expected)
    code, found = fsck(own_daemon, "--repair")
    assert code == 0, found
    assert all(finding["Mended"] for finding in found)
    assert fsck(own_daemon) == (0, [])
    assert own_daemon.out("run", "--rm", "-v", "found:/v", "busybox", "cat", "/v/file") == "x"
    assert own_daemon.state("running") == "running"
    own_daemon.box.run("ip", "link", "del", "stray1", check=False)


def test_a_damaged_layer_is_unpacked_again(own_daemon: Daemon) -> None:
    """Cut short, changed or gone: named, and mended from the blob unless a container runs on it."""
    directory = layer_directory(own_daemon)
    damages: list[tuple[str, Callable[[Path], Any], tuple[str, ...]]] = [
        ("layer-size", lambda fs: os.truncate(fs / "bin/busybox", 100), ()),
        ("layer-missing", shutil.rmtree, ()),
        (
            "layer-damaged",
            lambda fs: (fs / "etc/passwd").write_bytes(b"x" * (fs / "etc/passwd").stat().st_size),
            ("--deep",),
        ),
        ("layer-damaged", lambda fs: (fs / "bin/busybox").chmod(0o600), ("--deep",)),
    ]
    for kind, damage, options in damages:
        damage(layer_directory(own_daemon) / "fs")
        code, found = fsck(own_daemon, *options)
        assert (code, kinds(found)) == (1, {kind})
        code, found = fsck(own_daemon, "--repair", *options)
        assert (code, [finding["Mended"] for finding in found]) == (0, [True])
        assert fsck(own_daemon, "--deep") == (0, [])
        assert own_daemon.out("run", "--rm", "busybox", "id", "-un") == "root"
    assert layer_directory(own_daemon) != directory
    own_daemon.docker("run", "-d", "--name", "user", "busybox", "sleep", "600")
    (layer_directory(own_daemon) / "fs/etc/passwd").unlink()
    code, found = fsck(own_daemon, "--repair")
    assert code == 1
    assert "container user runs on it: stop that first" in found[0]["Error"]
    own_daemon.docker("rm", "-f", "user")
    assert fsck(own_daemon, "--repair")[0] == 0
    assert fsck(own_daemon, "--deep") == (0, [])


def test_damaged_blobs_come_with_the_next_load(own_daemon: Daemon, busybox_tar: bytes) -> None:
    """Other bytes of the same size, fewer bytes, no file, an unreadable config: marked, and whole after a load."""
    (image,) = json.loads(own_daemon.out("image", "inspect", "busybox"))
    ((layer,),) = rows(own_daemon, f"SELECT digest FROM content WHERE digest != '{image['Id']}'")
    whole = blob(own_daemon, layer).read_bytes()
    for kind, data, options in (
        ("blob-damaged", b"\xff" * len(whole), ("--deep",)),
        ("blob-size", whole[:-5], ()),
        ("blob-missing", None, ()),
    ):
        if data is None:
            blob(own_daemon, layer).unlink()
        else:
            blob(own_daemon, layer).write_bytes(data)
        code, found = fsck(own_daemon, "--repair", *options)
        assert code == 1
        assert kind in kinds(found)
        assert "image busybox:latest" in found[0]["Problem"]
        assert own_daemon.out("run", "--rm", "busybox", "echo", "still") == "still"
        own_daemon.docker("load", input=busybox_tar)
        assert fsck(own_daemon, "--deep") == (0, [])
    blob(own_daemon, image["Id"]).write_text("{")
    code, found = fsck(own_daemon, "--repair")
    assert "image-config" in kinds(found)
    assert fsck(own_daemon) == (0, [])
    own_daemon.docker("load", input=busybox_tar)
    assert own_daemon.out("run", "--rm", "busybox", "echo", "again") == "again"
    assert fsck(own_daemon, "--deep") == (0, [])


def test_records_without_their_things(own_daemon: Daemon) -> None:
    """A container without its directory or its own layer, a volume without data, a name that leads nowhere."""
    data = Path(own_daemon.data_root)
    own_daemon.docker("create", "--name", "one", "busybox", "echo", "ran")
    own_daemon.docker("volume", "create", "empty")
    key = own_daemon.inspect("one")["Id"]
    ((number,),) = rows(own_daemon, f"SELECT number FROM snapshot WHERE key = '{key}'")
    shutil.rmtree(data / "snapshots" / str(number))
    shutil.rmtree(data / "containers" / key)
    shutil.rmtree(data / "volumes/empty")
    change(own_daemon, "INSERT INTO image_reference (name, image_id) VALUES ('docker.io/library/gone:1', 'sha256:00')")
    expected = {"container-directory", "container-layer", "volume-missing", "reference-dangling"}
    found = fsck(own_daemon)[1]
    assert expected <= kinds(found) <= {*expected, "state-damaged"}
    assert fsck(own_daemon, "--repair")[0] == 0
    assert own_daemon.out("start", "-a", "one") == "ran"


@pytest.mark.slow
def test_work_under_way_is_no_damage(own_daemon: Daemon) -> None:
    """Loading, running and removing beside it: fsck finds nothing, and repairs nothing away."""
    layers = [small_layer(**{f"f{number}": "x" * 2000 for number in range(2000)})]
    archive = Path(own_daemon.root, "other.tar")
    archive.write_bytes(docker_archive(["other:1"], layers))
    script = (
        f"while [ ! -e {own_daemon.root}/stop ]; do docker load -q -i {archive} && docker rmi -f other:1 && "
        "docker run --rm busybox true || exit 1; done"
    )
    work = subprocess.Popen(["sh", "-c", script], env=own_daemon.docker_env(), stdout=subprocess.DEVNULL)
    try:
        for _ in range(4):
            assert fsck(own_daemon, "--repair", "--deep") == (0, [])
            assert work.poll() is None
    finally:
        Path(own_daemon.root, "stop").touch()
        assert work.wait(30) == 0
    eventually("nothing is left", lambda: fsck(own_daemon) == (0, []))
