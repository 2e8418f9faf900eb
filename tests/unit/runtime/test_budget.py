from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "src"
COSTLY = (
    "asyncio",
    "dataclasses",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "re",
    "socket",
    "subprocess",
    "threading",
    "typing",
)


def test_the_zygote_imports_nothing_costly():
    """Its modules are every shim's memory; after pivot_root there is nothing left to import."""
    script = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import wherry.runtime.zygote; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-ISEc", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in COSTLY if name in loaded] == []
    assert [
        name for name in loaded if name.startswith("wherry.") and name.split(".")[1] not in ("linux", "runtime")
    ] == []
