"""The device filter of cgroup v2: an eBPF program of ours on the group, and what it lets through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vm.conftest import Inside
from wherry.linux.cgroups import Cgroups

DENY_ALL = {"allow": False, "access": "rwm"}
NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
ZERO_READ = {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"}


def test_everything_but_the_exceptions_is_denied(cgroups: Cgroups, group: str, inside: Inside, tmp_path: Path) -> None:
    cgroups.apply(group, {"devices": [DENY_ALL, NULL, ZERO_READ]})
    script = f"""
    : </dev/null && echo null read
    : >/dev/null && echo null written
    : </dev/zero && echo zero read
    (: >/dev/zero) || true
    (: </dev/full) || true
    mknod {tmp_path}/null c 1 3 && echo null made
    mknod {tmp_path}/full c 1 7 || true
    """
    words = inside.words(group, script)
    assert [word for word in words if ":" not in word] == ["null read", "null written", "zero read", "null made"]
    assert sum("Operation not permitted" in word for word in words) == 3


def test_a_new_filter_replaces_the_old_one(cgroups: Cgroups, group: str, inside: Inside) -> None:
    """``docker update`` and a privileged container: rules are set anew, not added."""
    look = "(: </dev/full) && echo open || echo shut"
    cgroups.apply(group, {"devices": [DENY_ALL, NULL]})
    assert inside.words(group, look)[-1:] == ["shut"]
    cgroups.apply(group, {"devices": [{"allow": True, "access": "rwm"}]})
    assert inside.words(group, look)[-1:] == ["open"]
    cgroups.apply(group, {"devices": [DENY_ALL, NULL, {"allow": True, "type": "c", "major": 1, "access": "r"}]})
    assert inside.words(group, look)[-1:] == ["open"]
    assert inside.words(group, "(: >/dev/full) && echo open || echo shut")[-1:] == ["shut"]


def test_many_rules_load(cgroups: Cgroups, group: str, inside: Inside) -> None:
    """Several hundred exceptions stay within the verifier's patience; the last one counts."""
    rules: list[dict[str, Any]] = [DENY_ALL]
    rules += [{"allow": True, "type": "b", "major": 240, "minor": n, "access": "rw"} for n in range(300)]
    rules += [NULL]
    cgroups.apply(group, {"devices": rules})
    assert inside.words(group, ": </dev/null && echo open")[-1:] == ["open"]
    assert os.path.exists("/dev/null")
