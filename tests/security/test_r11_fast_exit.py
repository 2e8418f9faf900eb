"""R11 (docker/cli#5957): a program that prints and exits at once loses nothing.

A few hundred here; the promise's ten thousand by hand: WHERRY_TEST_SEQ_RUNS=10000 pytest tests/security/test_r11_*.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from runtime.lab import Lab, finish, launcher, play
from wherry.runtime.launcher import Launcher, Shim

pytestmark = [pytest.mark.root, pytest.mark.ours]

RUNS = int(os.environ.get("WHERRY_TEST_SEQ_RUNS", "240"))
TOGETHER = 12
LENGTHS = (1, 100, 5_000, 20_000)
"""The last is more than a pipe holds."""


def counted(last: int) -> bytes:
    return "".join(f"{number}\n" for number in range(1, last + 1)).encode()


@pytest.mark.timeout(60 + RUNS)
def test_every_byte_of_many_that_end_at_once(lab: Lab) -> None:
    """Half are containers, half execs, a dozen at a time; each is byte for byte what it was to be.

    Guard: ``shim_io`` reads on after the program's end until every writer is gone, and the end is told after the last
    byte. Seen to fail when its outputs are closed as soon as the program has been reaped.
    """
    expected = {last: counted(last) for last in LENGTHS}

    async def one(number: int, start: Launcher, host: Shim) -> None:
        last = LENGTHS[number // 2 % len(LENGTHS)]
        if number % 2:
            request = lab.request("seq", "1", str(last), name=f"c{number}")
            shim = await start.launch(request, attach=True)
        else:
            shim = await start.exec(lab.exec_request(host, "seq", "1", str(last), name=f"e{number}"), attach=True)
        status, out, err = await finish(shim)
        assert (status.code, err) == (0, b"")
        assert out == expected[last], f"{len(out)} bytes of {len(expected[last])} in run {number}"

    async def work() -> None:
        async with launcher() as start:
            host = await start.launch(lab.request("sleep", "3600", name="host"), attach=False)
            numbers = iter(range(RUNS))

            async def worker() -> None:
                for number in numbers:
                    await one(number, start, host)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(TOGETHER):
                        group.create_task(worker())
            finally:
                await host.signal(9)
                await host.wait()

    play(work(), timeout=50 + RUNS)
