"""What every lane shares."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without root the tests that need it are skipped, loudly: ``-ra`` lists them with this reason."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "root" in item.keywords or "integration" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="needs root"))
