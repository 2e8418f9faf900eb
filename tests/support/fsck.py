"""``wherry system fsck``, asked as a user asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.daemons import Daemon

WHERRY = str(Path(sys.executable).with_name("wherry"))


def fsck(daemon: Daemon, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings."""
    done = subprocess.run(
        [WHERRY, "-H", daemon.host, "system", "fsck", "--format", "json", *options],
        capture_output=True,
        text=True,
        timeout=60,
        env=daemon.docker_env(),
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)["Findings"]
