"""Generated pages say what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.commands import PROJECT


def test_the_page_of_differences_is_written_from_the_table(tmp_path: Path) -> None:
    """`make docs` has been run since the table was last changed."""
    page = tmp_path / "differences.md"
    subprocess.run([sys.executable, str(PROJECT / "tools" / "differences.py"), str(page)], check=True, timeout=20)
    assert page.read_text() == (PROJECT / "docs" / "differences.md").read_text()
