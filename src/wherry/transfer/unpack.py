"""Layers into snapshots: unpack what is not there yet, check each against the config, leave all to be committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from wherry.content import Staged
from wherry.diff.errors import BadArchive
from wherry.lib.clock import now_ns
from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.digest import Digest
from wherry.oci.image import ParsedImage, parse_image
from wherry.oci.reference import Reference
from wherry.snapshots import NewLayer
from wherry.state.image import ImageDocument, Layer
from wherry.state.lease import CONTENT, SNAPSHOT, Lease
from wherry.transfer.members import TAR_FAULT, Member, open_member, reason_of
from wherry.transfer.pipeline import Unrolled, unroll
from wherry.transfer.store import Arrival, ImageStore
from wherry.transfer.threads import interruptible

Report = Callable[[str, int, int], None]
"""Told the diff id, bytes read and bytes in all while a layer is unpacked; called from a thread."""


class _Part:
    """One layer on its way: what the store has of it, or what was unpacked."""

    def __init__(self, number: int, parsed: ParsedImage, member: Member) -> None:
        self.number = number
        self.member = member
        self.diff_id = parsed.diff_ids[number]
        self.chain_id = parsed.chain[number]
        self._parent = parsed.chain[number - 1] if number else None
        self.size = 0
        self.layer: Layer | None = None
        self.fresh: NewLayer | None = None

    def take(self, key: str, done: Unrolled) -> None:
        """It was unpacked as the snapshot ``key``."""
        self.size = done.applied.size
        self.fresh = NewLayer(key=key, chain_id=self.chain_id, parent=self._parent, size=self.size)
        self.layer = Layer(
            digest=self.member.digest,
            size=self.member.size,
            diff_id=self.diff_id,
            unpacked=done.unpacked,
            chain_id=self.chain_id,
        )


class Unpacker:
    """Unpacks the layers of one archive. An async context manager: what was not committed is removed at its end."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._stack = AsyncExitStack()
        self._extracts: set[str] = set()
        self._staged: list[Staged] = []
        self._lease: Lease

    async def __aenter__(self) -> Self:
        self._lease = await self._stack.enter_async_context(self._store.leases.hold())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for blob in self._staged:
                blob.discard()
            for key in self._extracts:
                await self._store.snapshots.abandon(key)
        finally:
            await self._stack.aclose()

    async def image(
        self, parsed: ParsedImage, members: Sequence[Member], names: Sequence[Reference], report: Report | None = None
    ) -> Arrival:
        """Unpack the layers of one image and say what is to be committed. Raises InvalidArgument, Internal."""
        parts = [_Part(number, parsed, member) for number, member in enumerate(members)]
        known = await self._known(parsed.chain)
        below: list[str] = []
        for part in parts:
            part.layer = known.get(part.chain_id)
            if part.layer is not None:
                below.insert(0, self._store.snapshots.upper(part.chain_id))
                part.size = self._store.snapshots.chain(part.chain_id)[0].size
                continue
            key, directory, done = await self._extract(part.member, below, part.diff_id, report)
            if done.diff_id != part.diff_id:
                raise InvalidArgument(
                    f'invalid diffID for layer {part.number}: expected "{part.diff_id}", got "{done.diff_id}"'
                )
            part.take(key, done)
            below.insert(0, directory)
        return await self._arrival(parsed, parts, names)

    async def rootfs(self, member: Member, make_config: Callable[[str], bytes], names: Sequence[Reference]) -> Arrival:
        """Unpack the only layer of an image whose config depends on it. Raises BadArchive, Internal."""
        key, _, done = await self._extract(member, [], "layer", None)
        parsed = parse_image(make_config(done.diff_id))
        part = _Part(0, parsed, member)
        part.layer = (await self._known(parsed.chain)).get(part.chain_id)
        if part.layer is None:
            part.take(key, done)
        else:
            part.size = done.applied.size
        return await self._arrival(parsed, [part], names)

    async def _arrival(self, parsed: ParsedImage, parts: Sequence[_Part], names: Sequence[Reference]) -> Arrival:
        blobs: dict[Digest, Staged] = {}
        layers = [part.layer for part in parts if part.layer is not None]
        await self._lease.add(CONTENT, [parsed.digest, *(layer.digest for layer in layers)])
        for part in parts:
            digest = part.member.digest
            if part.fresh is not None and digest not in blobs and not self._store.has_blob(digest):
                blobs[digest] = part.member.staged or await self._put(part.member.data or b"")
        if not self._store.has_blob(parsed.digest):
            blobs[parsed.digest] = await self._put(parsed.raw)
        size = sum(part.size for part in parts)
        document = ImageDocument(id=parsed.digest, layers=layers, size=size, loaded_ns=now_ns())
        fresh = [part.fresh for part in parts if part.fresh is not None]
        return Arrival(image=document, names=names, blobs=list(blobs.values()), layers=fresh)

    async def _extract(
        self, member: Member, below: list[str], what: str, report: Report | None
    ) -> tuple[str, str, Unrolled]:
        key, directory = await self._store.snapshots.extract()
        self._extracts.add(key)
        return key, directory, await self._unpack(member, directory, below, what, report)

    async def commit(self, arrival: Arrival) -> dict[Reference, str]:
        """Make the image known. Returns the names that led elsewhere before, and where."""
        replaced = await self._store.commit(arrival)
        self._extracts -= {layer.key for layer in arrival.layers}
        return replaced.names

    async def _known(self, chain: Sequence[Digest]) -> dict[str, Layer]:
        """The layers that the store has whole, by chain id. Leased before they are looked for, they stay."""
        await self._lease.add(SNAPSHOT, chain)
        here = {key for key in chain if self._store.snapshots.intact(key)}
        every = reversed(self._store.layers() if here else ())
        found = {layer.chain_id: layer for layer in every if layer.chain_id in here}
        await self._lease.add(CONTENT, [layer.digest for layer in found.values()])
        return {key: layer for key, layer in found.items() if self._store.has_blob(Digest(layer.digest))}

    async def _put(self, data: bytes) -> Staged:
        blob = await self._store.put(data)
        self._staged.append(blob)
        return blob

    async def _unpack(
        self, member: Member, directory: str, lowers: Iterable[str], diff_id: str, report: Report | None
    ) -> Unrolled:
        below = list(lowers)

        def work(stop: threading.Event) -> Unrolled:
            with open_member(member) as file:
                raw = _Counted(file.read, lambda at: _tell(report, diff_id, at, member))
                done = unroll(raw, directory, below, stop)
            return replace(done, diff_id=done.diff_id or member.digest)

        try:
            return await interruptible(work)
        except BadArchive as error:
            raise BadArchive(TAR_FAULT + error.message) from None
        except OSError as error:
            raise Internal(f"{TAR_FAULT}write {diff_id}: {reason_of(error)}") from error


def _tell(report: Report | None, diff_id: str, at: int, member: Member) -> None:
    if report is not None:
        report(diff_id, at, member.size)


class _Counted:
    """Reads, and tells how far it got."""

    def __init__(self, read: Callable[[int], bytes], tell: Callable[[int], None]) -> None:
        self._read = read
        self._tell = tell
        self._at = 0

    def read(self, size: int, /) -> bytes:
        data = self._read(size)
        self._at += len(data)
        self._tell(self._at)
        return data
