"""Finding and running the programs that the tests drive."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = PROJECT / ".cache" / "reference"  # Debian's docker.io unpacked by tools/reference
REFERENCE_PATH = [str(REFERENCE / folder) for folder in ("usr/bin", "usr/sbin")]


def search_path() -> str:
    """PATH for the reference's programs: what is installed first, then what was unpacked."""
    system = os.environ.get("PATH", os.defpath).split(":")
    return ":".join([*system, "/usr/sbin", "/sbin", *REFERENCE_PATH])


def find(program: str) -> str | None:
    """The full path of a program of the machine or of the unpacked reference."""
    return shutil.which(program, path=search_path())


def run(*argv: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Run a tool and hold its output. Raises AssertionError with its words when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} exited {done.returncode}: {done.stderr or done.stdout}")
    return done


def eventually(what: str, probe: Callable[[], T], *, within: float = 10, every: float = 0.05) -> T:
    """The first true answer of ``probe``; fails after ``within`` seconds, saying what never came."""
    deadline = time.monotonic() + within
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never came within {within} s: {what}")
        time.sleep(every)
    return answer
