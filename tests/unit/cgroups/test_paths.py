"""Cgroup paths come from users (``--cgroup-parent``): none leaves the hierarchy."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.linux.cgroups.files import CgroupError, check_path


@pytest.mark.parametrize(
    "path", ["", "/", "wherry", "/a/../b", "/..", "/a//b", "/a/", "/a/./b", "/a\nb", f"/{'x' * 256}"]
)
def test_a_path_that_could_leave_its_tree_is_refused(path: str) -> None:
    """Relative, empty, dotted, multi-line and overlong components never reach the kernel."""
    with pytest.raises(CgroupError):
        check_path(path)


@given(st.text(alphabet=st.sampled_from("/.a\n "), max_size=12))
def test_whatever_is_accepted_stays_below_the_root(path: str) -> None:
    """An accepted path is already in its normal form, so joining it to a mount point cannot climb."""
    try:
        accepted = check_path(path)
    except CgroupError:
        return
    assert os.path.normpath(f"/sys/fs/cgroup{accepted}") == f"/sys/fs/cgroup{accepted}"
