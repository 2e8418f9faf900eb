"""``docker push``: which images and names are meant, and what is told and remembered of each."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from typing import Protocol

from wherry.engine.images.catalog import Catalog
from wherry.engine.images.model import EventSink
from wherry.engine.images.platforms import check_platform
from wherry.lib.errors import InvalidArgument, NotFound, WherryError
from wherry.oci.manifest import Platform
from wherry.oci.reference import Reference, parse_reference
from wherry.state import image as image_state
from wherry.transfer import progress
from wherry.transfer.board import Board
from wherry.transfer.push import Pusher
from wherry.transfer.remote import Credentials, Registries, Repository, Stop
from wherry.transfer.store import ImageStore


class Hosts(Protocol):
    """A set of registries."""

    def covers(self, netloc: str) -> bool:
        """Whether the registry is one of them; may resolve its name."""


class Pushing:
    """The use case."""

    def __init__(
        self, store: ImageStore, registries: Registries, events: EventSink, *, uploads: int, foreign: Hosts
    ) -> None:
        self._store = store
        self._catalog = Catalog(store)
        self._registries = registries
        self._events = events
        self._foreign = foreign
        self._pusher = Pusher(store, uploads)

    def close(self) -> None:
        """Let go of the threads."""
        self._pusher.close()

    async def push(
        self, name: str, tag: str, credentials: Credentials | None, platform: Platform | None
    ) -> AsyncGenerator[bytes, None]:
        """Push one tag, or without ``tag`` (and none in ``name``) all of them; JSON lines for the client.

        A fault is the last line, as in Docker; before the first one, InvalidArgument and NotFound are raised.
        """
        reference = _wanted(name, tag)
        if platform is not None:
            check_platform(self._catalog.resolve(reference.familiar), reference.familiar, platform)
        yield progress.encode(progress.told(f"The push refers to repository [{reference.name}]"))
        try:
            for one in self._tags(reference):
                async with contextlib.aclosing(self._one(one, credentials, whole=platform is None)) as lines:
                    async for line in lines:
                        yield line
        except WherryError as error:
            yield progress.encode(progress.failed(error.message))
            return
        self._tell(reference)

    def _tags(self, reference: Reference) -> list[Reference]:
        """The tagged names to push. Raises NotFound, InvalidArgument in Docker's words."""
        known = [parse_reference(name) for name, _ in self._store.images.all_names()]
        named = [one for one in known if one.name == reference.name]
        if not named:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        if reference.digest:
            raise InvalidArgument("cannot push a digest reference")
        if reference.tag:
            return [reference]
        tagged = [one for one in named if not one.digest]
        if not tagged:
            raise NotFound(f"no tags to push for {reference.familiar_name}")
        return tagged

    async def _one(
        self, name: Reference, credentials: Credentials | None, *, whole: bool
    ) -> AsyncGenerator[bytes, None]:
        image_id = self._store.images.named(name.stored)
        image = self._store.images.get(image_id) if image_id else None
        if image is None:
            raise NotFound(f"tag does not exist: {name.familiar}")
        board, stop = Board(), Stop()

        def prepare() -> tuple[Repository, bool]:
            target = self._registries.open(replace(name, tag=""), credentials, push=True, stop=stop)
            return target, self._foreign.covers(name.domain)

        target, foreign = await asyncio.to_thread(prepare)
        push = partial(self._pusher.push, image, name.tag, target, stop, board.say, whole=whole, foreign=foreign)
        work = asyncio.ensure_future(push())
        async with contextlib.aclosing(board.until(work)) as messages:
            async for message in messages:
                yield progress.encode(message)
        pushed = work.result()
        yield progress.encode(progress.told(f"{name.tag}: digest: {pushed.digest} size: {pushed.size}"))
        await self._remember(replace(name, tag="", digest=pushed.digest), image.id)
        yield progress.auxiliary({"Tag": name.tag, "Digest": pushed.digest, "Size": pushed.size})

    async def _remember(self, name: Reference, image_id: str) -> None:
        """The image is known by its digest in that repository now."""

        def change(connection: sqlite3.Connection) -> None:
            if image_state.load(connection, image_id) is not None:
                image_state.point(connection, name.stored, image_id)

        await self._store.database.write(change)

    def _tell(self, reference: Reference) -> None:
        image_id = self._store.images.named(reference.stored)
        record = self._catalog.get(image_id) if image_id else None
        labels = record.labels if record is not None else {}
        self._events.emit("image", "push", reference.familiar, {**labels, "name": reference.familiar_name})


def _wanted(name: str, tag: str) -> Reference:
    reference = parse_reference(name)
    if not tag:
        return reference
    if reference.digest:
        raise InvalidArgument("cannot import digest reference")
    return reference.with_tag(tag)
