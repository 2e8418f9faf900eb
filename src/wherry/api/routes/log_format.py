"""Lines of a container's log as ``GET /containers/{id}/logs`` sends them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from urllib.parse import quote_plus

from wherry.api.server.multiplex import STDERR, STDOUT, SYSTEM, frame
from wherry.lib.clock import rfc3339_fixed
from wherry.logs.line import LogLine

logger = logging.getLogger(__name__)


async def log_chunks(
    batches: AsyncGenerator[Sequence[LogLine], None], *, multiplexed: bool, timestamps: bool, details: bool
) -> AsyncIterator[bytes]:
    """The batches as bytes. An error comes as the last frame, because the answer has begun by then."""
    try:
        async with aclosing(batches):
            async for batch in batches:
                yield b"".join(
                    format_line(line, multiplexed=multiplexed, timestamps=timestamps, details=details) for line in batch
                )
    except Exception as error:
        logger.warning("Error streaming logs", exc_info=error)
        text = f"Error grabbing logs: {error}\n".encode()
        yield frame(SYSTEM, text) if multiplexed else text


def format_line(line: LogLine, *, multiplexed: bool, timestamps: bool, details: bool) -> bytes:
    """One line: ``[time ][key=value,… ]text``, framed if asked for."""
    text = line.text
    if details:
        pairs = sorted((line.attrs or {}).items())
        text = ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs).encode() + b" " + text
    if timestamps:
        text = f"{rfc3339_fixed(line.time_ns)} ".encode("ascii") + text
    if not multiplexed:
        return text
    return frame(STDERR if line.stream == "stderr" else STDOUT, text)
