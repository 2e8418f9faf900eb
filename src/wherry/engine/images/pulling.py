"""``docker pull``: a name and a tag, or all tags, become images; every step is a JSON line for the client.

As in dockerd the first line comes once the registry has answered: what goes wrong before is an error of the request,
what goes wrong after is the last line.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from wherry.engine.images.model import EventSink
from wherry.lib.errors import InvalidArgument, NotFound, WherryError
from wherry.oci.image import ImageConfig
from wherry.oci.manifest import Platform, host_platform
from wherry.oci.platform import fits, normalize, parse_platform, show_platform
from wherry.oci.reference import Reference, parse_reference
from wherry.transfer import progress
from wherry.transfer.board import Board
from wherry.transfer.pull import Puller
from wherry.transfer.remote import Credentials, Registries, Stop
from wherry.transfer.resolve import Resolved, resolve
from wherry.transfer.source import FetchedManifest, Origin, Source
from wherry.transfer.store import ImageStore
from wherry.transfer.threads import give_up, in_own_thread

T = TypeVar("T")


class Pulling:
    """The pulls of one daemon."""

    def __init__(self, store: ImageStore, registries: Registries, events: EventSink, *, downloads: int) -> None:
        self._registries = registries
        self._puller = Puller(store, downloads)
        self._events = events

    async def close(self) -> None:
        """Wait until what was given up is gone; the pulls must have ended."""
        await self._puller.close()

    async def pull(
        self, image: str, tag: str, *, platform: str = "", credentials: Credentials | None = None
    ) -> AsyncIterator[bytes]:
        """Pull; JSON lines. Raises InvalidArgument, NotFound, Unauthorized, Internal before the first one."""
        wanted = parse_platform(platform) if platform else normalize(host_platform())
        name = pull_name(image, tag)
        run = _Run(self._registries, self._puller, name, credentials, wanted)
        begun = updated = False
        found: Resolved | None = None
        try:
            for one in await run.names():
                top = await run.top(one)
                begun = True
                yield progress.encode(progress.Message(status=f"Pulling from {one.path}", id=one.tag or str(one)))
                board = Board()
                work = asyncio.ensure_future(run.one(one, top, board.say))
                try:
                    async for message in board.until(work):
                        yield progress.encode(message)
                finally:
                    await give_up(work)
                found, changed = work.result()
                updated = updated or changed
                yield progress.encode(progress.told(f"Digest: {top.digest}"))
        except WherryError as error:
            if not begun:
                raise
            yield progress.encode(progress.failed(error.message))
            return
        said = "Downloaded newer image" if updated else "Image is up to date"
        yield progress.encode(progress.told(f"Status: {said} for {name.familiar}"))
        labels = (found.parsed.image.config or ImageConfig()).labels if found is not None else None
        self._events.emit("image", "pull", name.familiar, {**(labels or {}), "name": name.familiar_name})
        if platform and found is not None and (warning := _mismatch(name, found, wanted)):
            yield progress.encode(progress.told(f"WARNING: {warning}"))


class _Run:
    """One request under way."""

    def __init__(
        self,
        registries: Registries,
        puller: Puller,
        name: Reference,
        credentials: Credentials | None,
        wanted: Platform,
    ) -> None:
        self._registries = registries
        self._puller = puller
        self._name = name
        self._credentials = credentials
        self._wanted = wanted

    async def names(self) -> Sequence[Reference]:
        """What is to be pulled: the one name, or all tags of the repository."""
        if self._name.tag or self._name.digest:
            return [self._name]
        tags = await self._ask(lambda source: list(source.tags()))
        if not tags:
            raise NotFound(f"no tags in repository {self._name.familiar_name}")
        return [self._name.with_tag(tag) for tag in tags]

    async def top(self, name: Reference) -> FetchedManifest:
        """What the tag or the digest leads to."""
        return await self._ask(lambda source: source.manifest(name.digest or name.tag), name)

    async def one(
        self, name: Reference, top: FetchedManifest, say: Callable[[progress.Message], None]
    ) -> tuple[Resolved, bool]:
        """Bring in the image behind ``top``: what it is, and whether a name is new."""
        found = await self._ask(lambda source: resolve(source, top, self._wanted), name)
        by_digest = replace(name, tag="", digest=top.digest)
        names = [by_digest] if name.digest else [name, by_digest]
        origin = Origin(domain=name.domain, repository=name.name, open=lambda stop: self._open(name, stop))
        pulled = await self._puller.pull(found, names, origin, say)
        return found, pulled.updated

    async def _ask(self, question: Callable[[Source], T], name: Reference | None = None) -> T:
        stop = Stop()
        return await in_own_thread(lambda: question(self._open(name or self._name, stop)), stop)

    def _open(self, name: Reference, stop: threading.Event) -> Source:
        assert isinstance(stop, Stop)
        return self._registries.open(name, self._credentials, stop=stop)


def pull_name(image: str, tag: str) -> Reference:
    """The name that ``fromImage`` and ``tag`` make: no tag is all of them. Raises InvalidArgument."""
    # "pull -a" may send the name with a trailing colon.
    name = parse_reference(image.removesuffix(":"))
    if not tag:
        return name
    if ":" in tag:
        return replace(parse_reference(f"{name.name}@{tag}"), tag="")
    if name.digest:
        raise InvalidArgument("invalid reference format")
    return name.with_tag(tag)


def _mismatch(name: Reference, image: Resolved, wanted: Platform) -> str:
    """What is said of an image that is for another machine than the one asked for; it is pulled all the same."""
    config = image.parsed.image
    own = normalize(Platform(os=config.os, architecture=config.architecture, variant=config.variant))
    if not config.architecture or fits(own, wanted):
        return ""
    return (
        f"image with reference {name} was found but its platform ({show_platform(own)}) "
        f"does not match the specified platform ({show_platform(wanted)})"
    )
