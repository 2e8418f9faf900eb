"""`make demo`, in the machine's own network as a person runs it (Shows 1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import leaks
from support.commands import PROJECT, run


@pytest.mark.ours
def test_the_demo_ends_with_a_page_and_nothing_left() -> None:
    """The page is printed, and afterwards no process, link, table or cgroup of the demo's is there."""
    done = subprocess.run(
        [sys.executable, str(PROJECT / "demo" / "first_light.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This page was served from a container run by wherry." in done.stdout
    name = done.stdout.split("--name ", 1)[1].split()[0]
    assert f" {name}0" not in run("ip", "link").stdout
    assert name not in run("nft", "list", "tables").stdout
    assert leaks.cgroups(name) == []
    assert not [point for point in Path("/tmp").iterdir() if point.name.startswith("wherry-demo-")]
