"""The daemon's settings for what confines containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.daemon.security import load_seccomp
from wherry.lib.errors import InvalidArgument
from wherry.runtime.spec_security import Seccomp


def test_the_profile_of_every_container(tmp_path: Path) -> None:
    """A file, the built-in one, or none."""
    path = tmp_path / "profile.json"
    path.write_text("{}")
    assert load_seccomp(str(path)) == Seccomp(b"{}")
    assert load_seccomp("") == load_seccomp("builtin") == Seccomp(None)
    assert load_seccomp("unconfined") is None
    with pytest.raises(
        InvalidArgument, match=r"opening seccomp profile \(/no/such\) failed: open /no/such: no such file"
    ):
        load_seccomp("/no/such")
