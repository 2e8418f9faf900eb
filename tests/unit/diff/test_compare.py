"""The tar of a directory: the same bytes for the same tree, everything a layer can hold, and nothing from elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.diff.apply import apply_layer
from wherry.diff.changes import ADDED, CHANGED, DELETED, changes_of
from wherry.diff.compare import layer_of
from wherry.diff.errors import Stopped
from wherry.lib.errors import Internal
from wherry.linux.overlay_form import make_opaque, make_whiteout
from wherry.snapshots.merged import Merged
from wherry.transfer.exporting import root_tar

pytestmark = pytest.mark.root


def tar_of(directory: Path) -> bytes:
    return b"".join(layer_of(str(directory)))


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


def test_nothing_is_the_empty_layer(tmp_path: Path) -> None:
    assert tar_of(tmp_path) == bytes(1024)


def test_all_kinds(tmp_path: Path) -> None:
    """Files, links of both kinds, devices, whiteouts, opaque directories, attributes; sockets are left out."""
    (tmp_path / "d").mkdir()
    os.chmod(tmp_path / "d", 0o2750)
    (tmp_path / "d/file").write_bytes(b"x" * 700)
    os.chown(tmp_path / "d/file", 3_000_000, 4_000_000)
    os.chmod(tmp_path / "d/file", 0o4755)
    os.setxattr(tmp_path / "d/file", "user.mine", b"\0value")
    os.link(tmp_path / "d/file", tmp_path / "d/link")
    os.symlink("x" * 300, tmp_path / "d/sym")
    os.mkfifo(tmp_path / "d/fifo")
    os.mknod(tmp_path / "d/dev", stat.S_IFBLK | 0o640, os.makedev(7, 300))
    os.mknod(tmp_path / "d/sock", stat.S_IFSOCK | 0o600)
    fd = os.open(tmp_path / "d", os.O_RDONLY)
    make_opaque(fd)
    make_whiteout(fd, b"gone")
    os.close(fd)
    found = members(tar_of(tmp_path))
    expected = ["d", "d/.wh..wh..opq", "d/dev", "d/fifo", "d/file", "d/.wh.gone", "d/link", "d/sym"]
    assert list(found) == expected
    assert (found["d/file"].uid, found["d/file"].gid, found["d/file"].mode) == (3_000_000, 4_000_000, 0o4755)
    assert found["d/file"].pax_headers["SCHILY.xattr.user.mine"] == "\0value"
    assert (found["d/link"].type, found["d/link"].linkname) == (tarfile.LNKTYPE, "d/file")
    assert found["d/sym"].linkname == "x" * 300
    assert (found["d/dev"].type, found["d/dev"].devmajor, found["d/dev"].devminor) == (tarfile.BLKTYPE, 7, 300)
    assert found["d/fifo"].type == tarfile.FIFOTYPE
    assert found["d"].mode == 0o2750


def test_a_capability_of_a_namespace_becomes_everybodys(tmp_path: Path) -> None:
    """Revision 3 names the root of a user namespace; in an image it is revision 2, as in Docker."""
    (tmp_path / "f").touch()
    two = b"\x01\0\0\x02" + b"\0\x04\0\0" + bytes(12)
    os.setxattr(tmp_path / "f", "security.capability", b"\x01\0\0\x03" + two[4:] + (1000).to_bytes(4, "little"))
    data = tar_of(tmp_path)
    target = tmp_path / "applied"
    target.mkdir()
    stream = io.BytesIO(data)
    apply_layer(lambda: stream.read(10_000), str(target), [])
    assert os.getxattr(target / "f", "security.capability") == two


NAMES = st.binary(min_size=1, max_size=120).filter(
    lambda name: not {0, 47} & set(name) and name not in {b".", b".."} and not name.startswith(b".wh.")
)
TREES = st.recursive(
    st.binary(max_size=600) | st.builds(bytes, st.just(70_000)),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))


def build(directory: bytes, tree: dict[bytes, object]) -> None:
    os.makedirs(directory, exist_ok=True)
    for name, content in tree.items():
        path = directory + b"/" + name
        if isinstance(content, dict):
            build(path, content)
        else:
            with open(path, "wb") as file:
                file.write(content)  # type: ignore[arg-type]
        os.utime(path, ns=(0, len(name) * 1_000_000_007), follow_symlinks=False)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tree=TREES)
def test_applied_it_is_the_same_layer(tmp_path: Path, tree: dict[bytes, object]) -> None:
    """Any names, any nesting: the tar of the tree made of the tar is the tar."""
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        (tmp_path / name).mkdir()
    build(os.fsencode(tmp_path / "one"), tree)
    data = tar_of(tmp_path / "one")
    stream = io.BytesIO(data)
    apply_layer(lambda: stream.read(1000), str(tmp_path / "two"), [])
    assert tar_of(tmp_path / "two") == data


def test_the_caller_may_give_up(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(Stopped):
        list(layer_of(str(tmp_path), lambda: True))


def test_what_overlayfs_renamed_in_place_is_refused(tmp_path: Path) -> None:
    """redirect_dir: the directory's content is elsewhere, and a layer without it would be wrong."""
    (tmp_path / "moved").mkdir()
    os.setxattr(tmp_path / "moved", "trusted.overlay.redirect", b"/old")
    with pytest.raises(Internal, match="redirect_dir"):
        tar_of(tmp_path)


def test_a_tree_without_bottom_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(450):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    with pytest.raises(Internal, match="inside each other"):
        tar_of(tmp_path)


def test_a_racer_leads_nowhere_else(tmp_path: Path) -> None:
    """S9: names that turn into links to files outside give an entry of what they were, or a link, or none."""
    outside = tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    (outside / "d/f").write_bytes(b"CANARY")
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d/f").write_bytes(b"inside")
    os.symlink(outside / "d", tree / "l")
    os.symlink(outside / "d/f", tree / "d/l")
    done = threading.Event()

    def race() -> None:
        while not done.is_set():
            for one, other, spare in (("d", "l", "t"), ("d/f", "d/l", "d/t")):
                for old, new in ((one, spare), (other, one), (one, other), (spare, one)):
                    os.rename(tree / old, tree / new)

    thread = threading.Thread(target=race)
    thread.start()
    try:
        for _ in range(300):
            assert b"CANARY" not in tar_of(tree)
    finally:
        done.set()
        thread.join()


def test_changes_are_dockers(tmp_path: Path) -> None:
    """Added, changed, deleted; a directory is changed by what is in it; what is the same is not listed."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in ("same/file", "dir/old", "opaque/hidden", "mode/x", "turned"):
        (lower / path).parent.mkdir(parents=True, exist_ok=True)
        (lower / path).write_bytes(b"1")
    shutil.copytree(lower / "same", upper / "same")
    for path in ("dir", "opaque", "mode", "new/inner", "turned"):
        (upper / path).mkdir(parents=True)
    (upper / "dir/new").write_bytes(b"2")
    (upper / "opaque/fresh").write_bytes(b"3")
    (upper / "turned/inside").write_bytes(b"4")
    os.chmod(upper / "mode", 0o700)
    for path, mark in (("opaque", make_opaque), ("dir", lambda fd: make_whiteout(fd, b"old"))):
        fd = os.open(upper / path, os.O_RDONLY)
        mark(fd)
        os.close(fd)
    with Merged.open([str(lower)]) as merged:
        found = changes_of(str(upper), merged)
    assert found == [
        (b"/dir", CHANGED),
        (b"/dir/new", ADDED),
        (b"/dir/old", DELETED),
        (b"/mode", CHANGED),
        (b"/new", ADDED),
        (b"/new/inner", ADDED),
        (b"/opaque", CHANGED),
        (b"/opaque/fresh", ADDED),
        (b"/opaque/hidden", DELETED),
        (b"/turned", CHANGED),
        (b"/turned/inside", ADDED),
    ]


def test_an_export_is_merged(tmp_path: Path) -> None:
    """The upper layer's files win, whiteouts hide, and the names are sorted as in any tar of ours."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for top, path, data in ((lower, "a/x", b"old"), (lower, "a/y", b"y"), (lower, "gone", b""), (upper, "a/x", b"new")):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    fd = os.open(upper, os.O_RDONLY)
    make_whiteout(fd, b"gone")
    os.close(fd)
    data = b"".join(root_tar([str(upper), str(lower)], lambda: False))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["a", "a/x", "a/y"]
        assert tar.extractfile("a/x").read() == b"new"  # type: ignore[union-attr]
