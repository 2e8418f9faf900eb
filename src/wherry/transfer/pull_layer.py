"""One layer of one pull, as its client sees it: what has to be done for it, and what is said of it.

    Pulling fs layer ─▶ Waiting ─▶ Downloading ─▶ Verifying Checksum ─▶ Download complete ─▶ Extracting ─▶ Pull complete
    Already exists

The work itself may be shared with other clients. Where one of those began it and it failed, it is tried once more from
this client's own registry and with its own credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from enum import Enum

import msgspec

from wherry.content import Staged
from wherry.diff.errors import Stopped
from wherry.lib.errors import WherryError
from wherry.oci.digest import parse_digest
from wherry.oci.manifest import Descriptor
from wherry.snapshots import NewLayer, Snapshots
from wherry.state.image import Layer
from wherry.transfer.fetch import Download, Downloads, Present, StalePartial
from wherry.transfer.layers import Comparison, Extraction, Extractions
from wherry.transfer.progress import Detail, Say, moved, retrying
from wherry.transfer.shared import Held
from wherry.transfer.source import Origin
from wherry.transfer.store import ImageStore

ATTEMPTS = 8
"""How often a layer is begun anew because the work of another client, or of a daemon before, was no good."""


class Need(Enum):
    """What is left to do for a layer."""

    NOTHING = 0
    COMPARE = 1
    UNPACK = 2


class LayerPull:
    """See above. ``release`` lets go of what it holds, however far it came."""

    def __init__(
        self,
        downloads: Downloads,
        extractions: Extractions,
        *,
        descriptor: Descriptor,
        diff_id: str,
        chain_id: str,
        origin: Origin,
        say: Say,
    ) -> None:
        self._downloads = downloads
        self._extractions = extractions
        self._descriptor = descriptor
        self._diff_id = diff_id
        self.chain_id = chain_id
        self._origin = origin
        self._say = say
        self._need = Need.UNPACK
        self._present = False
        self._download: Held[Download | Present] | None = None
        self._extraction: Held[Extraction] | None = None
        self._downloaded = False
        self._attempt = 0
        self._retry_in = 0
        self._layer: Layer | None = None
        self.fresh: NewLayer | None = None
        self.size = 0
        """Bytes in its files, once it is ready."""

    # --- the plan -------------------------------------------------------------------------------------------------

    def plan(self, store: ImageStore, known: Mapping[str, Layer]) -> None:
        """Look at what is there already; ``known`` are the layers of all images by blob. It must be leased."""
        digest = self._descriptor.digest
        same = known.get(digest)
        self._present = store.has_blob(parse_digest(digest))
        if store.snapshots.intact(self.chain_id):
            self._need = Need.COMPARE
            if self._present and same is not None and same.diff_id == self._diff_id:
                self._need = Need.NOTHING
                self._layer = msgspec.structs.replace(same, chain_id=self.chain_id)

    def announce(self) -> None:
        """Say what will be done, and begin with the download."""
        if self._need is Need.NOTHING:
            self._tell("Already exists")
            return
        self._tell("Pulling fs layer")
        self._begin()
        if self._held.job.waiting:
            self._tell("Waiting")

    def _begin(self) -> None:
        if self._present:
            self._download = self._downloads.present(self._descriptor)
        else:
            self._download = self._downloads.hold(self._descriptor, self._origin)

    @property
    def _held(self) -> Held[Download | Present]:
        assert self._download is not None
        return self._download

    # --- following it ---------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Follow the download to its end. Raises what went wrong with it, unless that will be tried anew."""
        if self._need is Need.NOTHING:
            return
        held = self._held
        try:
            job = await held.done()
        except (WherryError, asyncio.CancelledError) as error:
            if isinstance(error, WherryError) and self._may_retry(error, owner=held.owner):
                return
            raise
        self._tell_downloaded(job)

    def tell_figures(self) -> None:
        """Say how far it is, if it is on the move."""
        if self._download is None or self._layer is not None:
            return
        job, size = self._download.job, self._descriptor.size
        if job.retry_in != self._retry_in:
            self._retry_in = job.retry_in
            if self._retry_in:
                self._tell(retrying(self._retry_in))
        if not self._downloaded:
            if job.blob.available and not self._retry_in:
                self._tell("Downloading", job.blob.available, size)
        elif self._extraction is not None and self._extraction.job.current:
            self._tell("Extracting", self._extraction.job.current, size)

    def _tell_downloaded(self, job: Download | Present) -> None:
        if self._downloaded:
            return
        self._downloaded = True
        if isinstance(job, Download):
            self._tell("Downloading", self._descriptor.size, self._descriptor.size)
            self._tell("Verifying Checksum")
        self._tell("Download complete")

    def _tell(self, status: str, current: int = 0, total: int = 0) -> None:
        self._say(moved(self._descriptor.digest, status, Detail(current, total)))

    # --- unpacking it ---------------------------------------------------------------------------------------------

    async def ready(self, below: Sequence[str], parent: str | None, snapshots: Snapshots) -> str:
        """Have it unpacked onto ``below``, the directories of the layers under it, top first: its own directory.

        Raises what went wrong with it.
        """
        while True:
            try:
                return await self._ready(below, parent, snapshots)
            except WherryError as error:
                owner = self._held.owner and (self._extraction is None or self._extraction.owner)
                if not self._may_retry(error, owner=owner):
                    raise
                self._attempt += 1
                await self.release()
                self._present = self._downloaded = False
                self._begin()

    async def _ready(self, below: Sequence[str], parent: str | None, snapshots: Snapshots) -> str:
        if self._need is Need.UNPACK:
            self._extraction = self._extractions.hold(
                self._held,
                self._descriptor,
                domain=self._origin.domain,
                diff_id=self._diff_id,
                chain_id=self.chain_id,
                lowers=tuple(below),
            )
            await self._whole(self._extraction.done())
            return self._unpacked(self._extraction.job, parent)
        if self._need is Need.COMPARE:
            comparison = Comparison(self._held.job, self._diff_id)
            await self._whole(comparison.run())
            self._layer = self._as_layer(comparison.unpacked)
            self._tell("Already exists")
        self.size = snapshots.chain(self.chain_id)[0].size
        return snapshots.upper(self.chain_id)

    async def _whole(self, work: Awaitable[object]) -> None:
        """Wait for ``work`` on the blob and for the blob itself, whose fault comes first: it explains the other."""
        fault: WherryError | Stopped | None = None
        try:
            await work
        except (WherryError, Stopped) as error:
            fault = error
        self._tell_downloaded(await self._held.done())
        if fault is not None:
            raise fault

    def _unpacked(self, extraction: Extraction, parent: str | None) -> str:
        done = extraction.unrolled
        self.size = done.applied.size
        self._tell("Extracting", self._descriptor.size, self._descriptor.size)
        self._tell("Pull complete")
        self._layer = self._as_layer(done.unpacked)
        self.fresh = NewLayer(key=extraction.key, chain_id=self.chain_id, parent=parent, size=self.size)
        return extraction.directory

    def _may_retry(self, error: WherryError, *, owner: bool) -> bool:
        """Whether the fault may lie in what another has begun, or in what was there."""
        return self._attempt < ATTEMPTS and (not owner or self._present or isinstance(error, StalePartial))

    def _as_layer(self, unpacked: int) -> Layer:
        return Layer(
            digest=self._descriptor.digest,
            size=self._descriptor.size,
            diff_id=self._diff_id,
            unpacked=unpacked,
            chain_id=self.chain_id,
        )

    # --- the end --------------------------------------------------------------------------------------------------

    @property
    def record(self) -> Layer:
        """What is recorded of it, once it is ready."""
        assert self._layer is not None
        return self._layer

    @property
    def staged(self) -> Staged | None:
        """Its blob, to be published; None if the store has it."""
        return self._download.job.staged if self._download is not None else None

    async def release(self) -> None:
        """Let go of what is held; what nobody else holds, and was not committed, goes."""
        extraction, self._extraction = self._extraction, None
        download, self._download = self._download, None
        if extraction is not None:
            await extraction.release()
        if download is not None:
            await download.release()
