"""Files that are either old or new."""

from __future__ import annotations

import os

import pytest

from wherry.lib import atomic


def test_a_file_is_replaced_with_its_mode(tmp_path):
    path = tmp_path / "file"
    atomic.write_file(path, b"old")
    atomic.write_file(path, b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file"
    atomic.write_file(path, b"old")
    with pytest.raises(TypeError):
        atomic.write_file(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
