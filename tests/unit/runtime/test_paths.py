from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.linux import paths


@pytest.fixture
def root(tmp_path: Path):
    inside = tmp_path / "root"
    inside.mkdir()
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield inside, fd
    os.close(fd)


def where(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_missing_directories_are_made(root):
    """Parents too; a file is empty."""
    inside, fd = root
    assert where(paths.make_in(fd, "/a/b/c", directory=True)) == f"{inside}/a/b/c"
    assert where(paths.make_in(fd, "a/b/f", directory=False)) == f"{inside}/a/b/f"
    assert (inside / "a/b/f").read_bytes() == b""


@pytest.mark.parametrize("target", ["/abs/olute", "../../../up", "/../../etc", "rel/ative"])
def test_dangling_links_lead_nowhere_outside(root, target):
    """S3: absolute and climbing targets count from the root."""
    inside, fd = root
    (inside / "link").symlink_to(target)
    made = where(paths.make_in(fd, "/link/x", directory=True))
    assert made.startswith(f"{inside}/")
    assert (inside.parent / "up").exists() is False


def test_what_is_there_is_returned_whatever_it_is(root):
    """The caller looks at its kind."""
    inside, fd = root
    (inside / "file").touch()
    found = paths.make_in(fd, "/file", directory=True)
    assert stat.S_ISREG(os.fstat(found).st_mode)
    os.close(found)


def test_a_loop_of_links_ends(root):
    """ELOOP, not for ever."""
    inside, fd = root
    (inside / "a").symlink_to("b")
    (inside / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        paths.make_in(fd, "/a/x", directory=True)


def test_links_can_be_refused(root):
    """For the kernel's own file systems."""
    inside, fd = root
    (inside / "proc").symlink_to("/")
    with pytest.raises(OSError, match="openat2 /proc"):
        paths.open_in(fd, "/proc", links=False)


def test_bounded_reads(root):
    """S6: no file, a FIFO, a huge file, an escaping link."""
    inside, fd = root
    assert paths.read_bounded(fd, "/etc/passwd", 10) == b""
    (inside / "etc").mkdir()
    os.mkfifo(inside / "etc/passwd")
    with pytest.raises(OSError, match="not a regular file"):
        paths.read_bounded(fd, "/etc/passwd", 10)
    (inside / "etc/group").write_bytes(bytes(1000))
    assert len(paths.read_bounded(fd, "/etc/group", 10)) == 11
    (inside / "etc/shadow").symlink_to("../../secret")
    (inside.parent / "secret").write_text("canary")
    assert paths.read_bounded(fd, "/etc/shadow", 10) == b""


NAMES = st.sampled_from(["a", "b", "..", ".", "link", "up"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=1, max_size=8))
def test_no_path_leaves_the_root(root, parts):
    """Whatever is asked for, and however often."""
    inside, fd = root
    for name, target in (("link", "/a/../.."), ("up", "../..")):
        if not (inside / name).is_symlink():
            (inside / name).symlink_to(target)
    made = where(paths.make_in(fd, "/".join(parts), directory=True))
    assert made == str(inside) or made.startswith(f"{inside}/")
    assert [path.name for path in inside.parent.iterdir()] == ["root"]
