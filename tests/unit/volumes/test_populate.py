"""A new volume gets what the image has, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.volumes import populate
from wherry.volumes.populate import copy_up


@pytest.fixture
def volume(tmp_path):
    (tmp_path / "volume" / "_data").mkdir(parents=True)
    return tmp_path / "volume" / "_data"


@pytest.fixture
def image(tmp_path):
    (tmp_path / "image").mkdir()
    return tmp_path / "image"


def copy(image, volume):
    descriptor = os.open(image, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return copy_up(descriptor, volume)
    finally:
        os.close(descriptor)


def test_tree(image, volume):
    """Files, directories, links of both kinds, modes and times."""
    (image / "dir").mkdir(mode=0o750)
    (image / "dir" / "file").write_text("text")
    (image / "dir" / "file").chmod(0o4755)
    os.utime(image / "dir" / "file", ns=(10**18, 10**18 + 5))
    os.link(image / "dir" / "file", image / "hard")
    (image / "soft").symlink_to("/etc/passwd")
    os.mkfifo(image / "pipe")
    os.utime(image / "dir", ns=(10**18, 10**18))
    image.chmod(0o1777)
    assert copy(image, volume)
    assert sorted(os.listdir(volume)) == ["dir", "hard", "pipe", "soft"]
    status = (volume / "dir" / "file").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink) == (0o4755, 10**18 + 5, 2)
    assert (volume / "hard").samefile(volume / "dir" / "file")
    assert os.readlink(volume / "soft") == "/etc/passwd"
    assert stat.S_ISFIFO((volume / "pipe").stat().st_mode)
    assert stat.S_IMODE((volume / "dir").stat().st_mode) == 0o750
    assert (volume / "dir").stat().st_mtime_ns == 10**18
    assert stat.S_IMODE(volume.stat().st_mode) == 0o1777
    assert os.listdir(volume.parent) == ["_data"]


@pytest.mark.root
def test_owners_attributes_and_devices(image, volume):
    """What only root can: owners, capabilities, device nodes."""
    (image / "file").write_text("x")
    os.chown(image / "file", 123, 456)
    os.setxattr(image / "file", "trusted.test", b"v")
    os.mknod(image / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.chown(image, 7, 8)
    assert copy(image, volume)
    status = (volume / "file").stat()
    assert (status.st_uid, status.st_gid) == (123, 456)
    assert os.getxattr(volume / "file", "trusted.test") == b"v"
    assert (volume / "null").stat().st_rdev == os.makedev(1, 3)
    assert (volume.stat().st_uid, volume.stat().st_gid) == (7, 8)


def test_empty_image_directory_gives_its_mode(image, volume):
    """Also where there is nothing to copy the directory itself is as in the image."""
    image.chmod(0o700)
    assert copy(image, volume)
    assert stat.S_IMODE(volume.stat().st_mode) == 0o700


def test_volume_with_data_is_left_alone(image, volume):
    """A volume that is not empty keeps what it has."""
    (image / "new").touch()
    (volume / "old").touch()
    assert not copy(image, volume)
    assert os.listdir(volume) == ["old"]


def test_holes_stay_holes(image, volume):
    """A huge sparse file costs nothing."""
    with (image / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 40)
        file.write(b"end")
    assert copy(image, volume)
    status = (volume / "sparse").stat()
    assert status.st_size == (1 << 40) + 3
    assert status.st_blocks < 1000
    with (volume / "sparse").open("rb") as file:
        assert file.read(5) == b"begin"


def test_too_deep(image, volume, monkeypatch):
    """A bottomless tree is refused, and the volume is empty."""
    monkeypatch.setattr(populate, "DEPTH_MAX", 5)
    deep = image
    for _ in range(8):
        deep /= "d"
        deep.mkdir()
    with pytest.raises(InvalidArgument, match="more than 5 directories inside each other"):
        copy(image, volume)
    assert os.listdir(volume) == []
    assert os.listdir(volume.parent) == ["_data"]


def test_crash_while_moving_is_finished(image, volume, monkeypatch):
    """Killed between two moves, the next start completes the volume."""
    for name in ("a", "b", "c"):
        (image / name).write_text(name)
    real, moves = os.rename, []  # the first is that of the staging directory

    def crashing(source, target, **options):
        if len(moves) == 2:
            raise KeyboardInterrupt
        moves.append(source)
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", crashing)
    with pytest.raises(KeyboardInterrupt):
        copy(image, volume)
    monkeypatch.undo()
    assert len(os.listdir(volume)) == 1
    populate.finish_population(volume)
    assert sorted(os.listdir(volume)) == ["a", "b", "c"]
    assert os.listdir(volume.parent) == ["_data"]


def test_symbolic_links_are_not_followed(image, volume, tmp_path):
    """A link to a directory outside is copied as a link; a volume that is a link is refused."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").touch()
    (image / "out").symlink_to(secret)
    assert copy(image, volume)
    assert os.readlink(volume / "out") == str(secret)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "_data").symlink_to(secret)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        copy(image, Path(linked / "_data"))
