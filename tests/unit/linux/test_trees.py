"""Removing trees: deep ones, and ones that two remove at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wherry.linux.trees import remove_tree


def test_nothing_there_is_success(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "none"))


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(kept)
    remove_tree(str(tree))
    assert not tree.exists()
    assert (kept / "file").exists()


def test_deeper_than_there_may_be_descriptors(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    remove_tree(str(tree))
    assert not tree.exists()


def test_two_at_once(tmp_path: Path) -> None:
    """A daemon that restores removes what a container's own end removes at the same moment."""
    for round_ in range(30):
        tree = tmp_path / f"tree{round_}"
        for number in range(8):
            (tree / f"a{number}/b/c").mkdir(parents=True)
            (tree / f"a{number}/b/file").touch()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(remove_tree, [str(tree)] * 4))
        assert not tree.exists()
