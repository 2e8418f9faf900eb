"""Images of size and of every kind of file go import → push → pull → save → load → run → diff → commit unchanged.

``WHERRY_TEST_LARGE=1`` takes 200,000 small files instead of 20,000.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import trees
from support.daemons import Daemon, Wherryd, standing
from support.registries import Registry
from support.trees import Facts

LARGE = os.environ.get("WHERRY_TEST_LARGE") == "1"
SMALL_FILES = 200_000 if LARGE else 20_000
PATIENCE = 900 if LARGE else 120
"""Seconds that one docker command may take."""

pytestmark = [pytest.mark.root, pytest.mark.ours, pytest.mark.slow, pytest.mark.timeout(6 * PATIENCE)]


@pytest.fixture(scope="module")
def daemon(docker_cli: str, busybox_tar: bytes) -> Iterator[Daemon]:
    with standing(Wherryd(), busybox_tar) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def registry(daemon: Daemon) -> Iterator[Registry]:
    with Registry(daemon.box) as registry:
        yield registry


def _import(daemon: Daemon, command: list[str]) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        subprocess.run(
            daemon.docker_argv("import", "-", "real:1"),
            stdin=tar.stdout,
            capture_output=True,
            env=daemon.docker_env(),
            timeout=PATIENCE,
            check=True,
        )
    assert tar.returncode == 0


def _same(daemon: Daemon, image: str, expected: Facts, parts: list[str], when: str) -> None:
    """The image's one layer on disk is ``expected``."""
    top = daemon.api("GET", f"/images/{image}/json").json()["GraphDriver"]["Data"]["UpperDir"]
    found = trees.facts(Path(top), parts)
    assert trees.digest(found) == trees.digest(expected), f"{when}: {trees.differences(expected, found)}"


def _round(daemon: Daemon, registry: Registry, expected: Facts, parts: list[str]) -> None:
    """What has been imported as real:1 goes all the ways that images go."""
    _same(daemon, "real:1", expected, parts, "after import")
    image_id = daemon.out("images", "-q", "--no-trunc", "real:1")
    name = f"{registry.host}/real:1"
    daemon.docker("tag", "real:1", name)
    daemon.docker("push", name, timeout=PATIENCE)
    daemon.docker("rmi", "real:1", name, timeout=PATIENCE)
    assert image_id not in daemon.out("images", "-aq", "--no-trunc")
    daemon.docker("pull", name, timeout=PATIENCE)
    assert daemon.out("images", "-q", "--no-trunc", name) == image_id
    _same(daemon, name, expected, parts, "after push and pull")
    with tempfile.NamedTemporaryFile(prefix=f"{daemon.name}-") as archive:
        daemon.docker("save", "-o", archive.name, name, timeout=PATIENCE)
        daemon.docker("rmi", name, timeout=PATIENCE)
        daemon.docker("load", "-i", archive.name, timeout=PATIENCE)
    assert daemon.out("images", "-q", "--no-trunc", name) == image_id
    _same(daemon, name, expected, parts, "after save and load")
    _change(daemon, name)
    daemon.docker("rmi", name, timeout=PATIENCE)


def _change(daemon: Daemon, image: str) -> None:
    """``diff`` tells what a program did and nothing else, and ``commit`` keeps just that."""
    script = "echo new > /new-file; chmod 700 /bin/busybox; mkdir -p /made/below; ln /new-file /made/twin"
    daemon.docker(
        "run", "--name", "changed", image, "/bin/busybox", "sh", "-c", f"alias >/dev/null; {_applets(script)}"
    )
    lines = set(daemon.out("diff", "changed").split("\n"))
    assert lines == {"A /made", "A /made/below", "A /made/twin", "A /new-file", "C /bin", "C /bin/busybox"}
    upper = daemon.inspect("changed")["GraphDriver"]["Data"]["UpperDir"]
    expected = trees.facts(Path(upper), ["made", "new-file", "bin"])
    daemon.docker("commit", "changed", "committed:1", timeout=PATIENCE)
    top = daemon.api("GET", "/images/committed:1/json").json()["GraphDriver"]["Data"]["UpperDir"]
    found = trees.facts(Path(top), ["made", "new-file", "bin"])
    assert {name: _seconds(fact) for name, fact in found.items()} == {
        name: _seconds(fact) for name, fact in expected.items()
    }
    daemon.docker("rm", "changed")
    daemon.docker("rmi", "committed:1")


def _applets(script: str) -> str:
    """Every command by busybox: the image has no links to it."""
    return "; ".join(f"/bin/busybox {step.strip()}" for step in script.split(";"))


def _seconds(fact: str) -> str:
    """Without what is below a second of the time: a layer made by commit has whole ones, as Docker's."""
    mode, owner, instant, *rest = fact.split(" ")
    return " ".join([mode, owner, str(int(instant) // 1_000_000_000), *rest])


def test_a_debian_of_this_machines_files(daemon: Daemon, registry: Registry, tmp_path: Path) -> None:
    """Ten thousand files and more, of all the sizes and kinds that a distribution has."""
    parts = trees.machine_parts(10_000)
    expected = trees.facts(Path("/"), parts)
    assert len(expected) > 10_000
    (tmp_path / "bin").mkdir()
    subprocess.run(["cp", "/bin/busybox", str(tmp_path / "bin")], check=True)
    _import(daemon, trees.tar_of(Path("/"), parts, "-C", str(tmp_path), "bin"))
    _round(daemon, registry, expected, parts)


def test_very_many_small_files(daemon: Daemon, registry: Registry, tmp_path: Path) -> None:
    with (tmp_path / "small.tar").open("wb") as file:
        expected = trees.write_small_files(file, SMALL_FILES)
    assert len(expected) > SMALL_FILES
    _import(daemon, ["cat", str(tmp_path / "small.tar")])
    (tmp_path / "small.tar").unlink()
    _round(daemon, registry, expected, ["small", "bin"])


def test_one_of_everything(daemon: Daemon, registry: Registry, tmp_path: Path) -> None:
    """Attributes, devices, hard links, holes, names that are not text, ids and times that ustar cannot say."""
    trees.make_odd_tree(tmp_path / "odd")
    expected = trees.facts(tmp_path / "odd")
    _import(daemon, trees.tar_of(tmp_path / "odd", ["."]))
    top = daemon.api("GET", "/images/real:1/json").json()["GraphDriver"]["Data"]["UpperDir"]
    assert os.stat(f"{top}/holes").st_blocks * 512 < 1 << 20
    _round(daemon, registry, expected, ["."])
