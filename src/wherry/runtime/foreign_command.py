"""The daemon's own calls of another runtime: for what no shim can do any more, and questions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from wherry.lib.errors import Internal

_TIMEOUT = 10.0


async def call(bundle: Path, verb: str, *options: str) -> None:
    """``runtime verb [options] id`` for the container of ``bundle``; nothing if it is our own runtime's.

    Raises Internal, OSError.
    """
    request = _request(bundle)
    words: list[str] = request.get("runtime") or []
    if words and not request["exec"]:
        await _run(*words, verb, *options, str(request["id"]))


async def mount_options(words: Sequence[str]) -> Collection[str]:
    """The options of mounts that a runtime says it knows (``runtime features``); none if it does not say."""
    try:
        features = json.loads(await _run(*words, "features"))
    except (Internal, OSError, ValueError):
        return ()
    known = features.get("mountOptions") if isinstance(features, dict) else None
    return [str(option) for option in known] if isinstance(known, list) else ()


async def _run(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            said, _ = await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise Internal(f"{words[0]} did not end within {_TIMEOUT:.0f} s") from None
    if process.returncode:
        raise Internal(f"{words[0]}: {said.decode(errors='replace').strip()}")
    return said


async def forget(bundle: Path) -> None:
    """Have the runtime forget a container whose shim has gone without doing so; it is killed and its group removed."""
    with contextlib.suppress(Internal, OSError):
        await call(bundle, "delete", "--force")


def _request(bundle: Path) -> dict[str, Any]:
    try:
        request: dict[str, Any] = json.loads((bundle / "launch.json").read_bytes())
    except FileNotFoundError:
        return {}
    return request
