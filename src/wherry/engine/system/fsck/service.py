"""``wherry system fsck``: the checks in their order, each difference confirmed, named, and mended where that was asked.

It runs beside everything else. An operation under way is no damage: what it has begun is known by its lease or its
lock, and whatever looks wrong is looked at twice, a moment apart, before it is called a difference.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from typing import Any

from wherry.engine.system.fsck.finding import Check, Checked, Finding, Judged, Summary
from wherry.lib.errors import WherryError

MOMENT = 0.6
"""Seconds between the two looks: longer than a link or a namespace may take to go (``network.reaper``)."""

Step = Judged | Checked | Summary

_log = logging.getLogger(__name__)


class Fsck:
    """The checks of one daemon; one run at a time."""

    def __init__(self, quick: Sequence[Check], thorough: Sequence[Check]) -> None:
        """``thorough`` checks read every byte, and come first: what they condemn the quick ones then find missing."""
        self._quick = quick
        self._thorough = thorough
        self._running = asyncio.Lock()

    async def run(self, *, repair: bool = False, deep: bool = False) -> AsyncIterator[Step]:
        """Every difference as it is found, every check as it ends, a summary last."""
        async with self._running:
            checks = [*(self._thorough if deep else ()), *self._quick]
            found = mended = 0
            for check in checks:
                findings = await _confirmed(check)
                for finding in findings:
                    judged = await _mend(finding) if repair else Judged(finding=finding)
                    found += 1
                    mended += judged.mended
                    yield judged
                yield Checked(check.name, len(findings))
            left = found
            if repair and found:
                left = 0
                for check in self._quick:
                    for finding in await _confirmed(check):
                        left += 1
                        yield Judged(finding=finding, error="is still so after the repair")
            yield Summary(found=found, mended=mended, left=left)

    async def report(self, *, repair: bool, deep: bool) -> AsyncIterator[dict[str, Any]]:
        """The same in the words of the wire."""
        async for step in self.run(repair=repair, deep=deep):
            yield wire(step)


def wire(step: Step) -> dict[str, Any]:
    """One step as a JSON document."""
    if isinstance(step, Checked):
        return {"Check": {"Name": step.name, "Found": step.found}}
    if isinstance(step, Summary):
        return {"Summary": {"Found": step.found, "Mended": step.mended, "Left": step.left}}
    finding = step.finding
    return {
        "Finding": {
            "Kind": finding.kind,
            "Subject": finding.subject,
            "Problem": finding.problem,
            "Remedy": finding.remedy,
            "Mendable": finding.mend is not None,
            "Mended": step.mended,
            "Error": step.error,
        }
    }


async def _confirmed(check: Check) -> list[Finding]:
    first = await check.look()
    if check.steady or not first:
        return list(first)
    await asyncio.sleep(MOMENT)
    before = {finding.key for finding in first}
    return [finding for finding in await check.look() if finding.key in before]


async def _mend(finding: Finding) -> Judged:
    if finding.mend is None:
        return Judged(finding=finding)
    try:
        await finding.mend()
    except (WherryError, OSError, sqlite3.Error) as error:
        return Judged(finding=finding, error=str(error))
    _log.warning("repaired: %s %s %s: %s", finding.kind, finding.subject, finding.problem, finding.remedy)
    return Judged(finding=finding, mended=True)
