"""Which runtimes ``--runtime`` can name, and what is called for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.runtime.foreign_registry import Known, Runtimes

ROOT = Path("/run/w/runtimes")


@pytest.fixture
def search(tmp_path):
    """A PATH on which there is a runc."""
    (tmp_path / "runc").touch(0o755)
    return str(tmp_path)


def test_what_is_installed_is_offered(search):
    """By name, and runc by containerd's name for it too; crun is not on this PATH."""
    runtimes = Runtimes({}, root=ROOT, search=search)
    assert list(runtimes.names) == ["wherry", "runc", "io.containerd.runc.v2"]
    assert runtimes.words("wherry") == ()
    assert runtimes.words("") == ()
    assert runtimes.words("runc") == (f"{search}/runc", "--root", "/run/w/runtimes/runc")


def test_what_is_configured(search):
    """With its arguments, and in place of what is installed; a program that is not there is said when it is called."""
    mine = {"mine": Known("/opt/mine", ("--debug",)), "runc": Known("/opt/runc"), "gone": Known("gone")}
    runtimes = Runtimes(mine, default="mine", root=ROOT, search=search)
    assert runtimes.words("mine") == ("/opt/mine", "--debug", "--root", "/run/w/runtimes/mine")
    assert runtimes.words("runc")[0] == "/opt/runc"
    assert runtimes.words("gone")[0] == "gone"
    assert ("mine", "/opt/mine", ("--debug",)) in runtimes.shown()


def test_unknown_names_are_refused_in_dockerds_words(search):
    with pytest.raises(InvalidArgument, match=r"^unknown or invalid runtime name: foo$"):
        Runtimes({}, root=ROOT, search=search).words("foo")
    with pytest.raises(InvalidArgument, match=r"^specified default runtime 'foo' does not exist$"):
        Runtimes({}, default="foo", root=ROOT, search=search)
