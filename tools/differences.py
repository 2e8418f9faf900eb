"""Write docs/differences.md from the table that the comparison tests use: ``tools/differences.py PAGE``."""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from support.differences import DIFFERENCES  # noqa: E402  the table lives with the tests

HEAD = """\
<!-- Written by `make docs` from tests/support/differences.py; change it there. -->

# Where wherry differs from Docker, and why

`tests/integration/test_same_as_docker.py` runs the same docker commands against wherry and against a real dockerd
(Debian's 20.10, the reference) and compares exit code, standard output and standard error. Everything that is allowed
to differ is in this table.

| command | reference | wherry | why |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    rows = (f"| {item.topic} | {item.reference} | {item.ours} | {item.reason} |" for item in DIFFERENCES)
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
