"""``docker import URL``: the tar at a URL becomes an image, its progress told as dockerd tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from wherry.lib.errors import WherryError
from wherry.transfer import progress
from wherry.transfer.board import Board
from wherry.transfer.page import open_page, page_url
from wherry.transfer.remote import Registries
from wherry.transfer.threads import give_up


class Importer(Protocol):
    """Makes an image of a tar."""

    async def import_(
        self,
        archive: AsyncIterator[bytes],
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> str:
        """The id of the image."""


class UrlImports:
    """The use case."""

    def __init__(self, registries: Registries, importer: Importer) -> None:
        self._registries = registries
        self._importer = importer

    async def import_url(
        self,
        source: str,
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> AsyncIterator[bytes]:
        """Import what ``source`` serves; JSON lines. Raises NotFound, InvalidArgument, Internal before the first."""
        url = page_url(source)
        page = await open_page(self._registries, url)
        yield progress.encode(progress.told(f"Downloading from {url}"))
        board = Board()

        def told(current: int) -> None:
            board.say(progress.moved("", "Importing", progress.Detail(current, page.total)))

        work = asyncio.ensure_future(
            self._importer.import_(
                page.pieces(told),
                repository=repository,
                tag=tag,
                message=message or f"Imported from {url}",
                changes=changes,
                platform=platform,
            )
        )
        try:
            async for line in board.until(work):
                yield progress.encode(line)
        except WherryError as error:
            yield progress.encode(progress.failed(error.message))
            return
        finally:
            await give_up(work)
        yield progress.encode(progress.told(work.result()))
