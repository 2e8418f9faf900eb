"""Layers into snapshots, each once however many images bring it, while its blob is still on its way."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from wherry.diff.compression import Unpacked
from wherry.diff.errors import BadArchive
from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.manifest import Descriptor
from wherry.snapshots import Snapshots
from wherry.transfer.fetch import Download, Present
from wherry.transfer.growing import Reader, StopReading
from wherry.transfer.members import TAR_FAULT, reason_of, tar_digest
from wherry.transfer.pipeline import BadPacking, Unrolled, unroll
from wherry.transfer.shared import Held, Jobs
from wherry.transfer.threads import in_own_thread

MISMATCH = "layers from manifest don't match image configuration"
REGISTER_FAULT = "failed to register layer: "


class Extraction:
    """One layer on its way into a snapshot of its own."""

    def __init__(
        self,
        snapshots: Snapshots,
        download: Held[Download | Present],
        descriptor: Descriptor,
        diff_id: str,
        lowers: Sequence[str],
    ) -> None:
        self._snapshots = snapshots
        self._held = download
        self._download = download.job
        self._descriptor = descriptor
        self._diff_id = diff_id
        self._lowers = lowers
        self.key = ""
        self.directory = ""
        self.result: Unrolled | None = None
        self.reader: Reader | None = None

    @property
    def unrolled(self) -> Unrolled:
        """What came of it, once it is done."""
        assert self.result is not None
        return self.result

    @property
    def current(self) -> int:
        """Bytes of the blob that were read."""
        return self.reader.position if self.reader is not None else 0

    async def run(self) -> None:
        """Unpack it. Raises InvalidArgument for a bad layer, Internal; Stopped when its blob did not come."""
        await self._download.begun.wait()
        self.key, self.directory = await self._snapshots.extract()
        try:
            stop = StopReading(self._download.blob)
            self.reader = Reader(self._download.blob, stop)
            self.result = await in_own_thread(lambda: self._unroll(stop), stop)
        except BaseException:
            await self._snapshots.abandon(self.key)
            raise

    async def drop(self) -> None:
        """Remove it, unless it was committed."""
        try:
            if self.key:
                await self._snapshots.abandon(self.key)
        finally:
            await self._held.release()

    def _unroll(self, stop: threading.Event) -> Unrolled:
        assert self.reader is not None
        try:
            done = unroll(self.reader, self.directory, self._lowers, stop)
        except BadPacking as error:
            kind = "unexpected EOF" if error.truncated else "exit status 1"
            said = "" if error.truncated else error.message
            raise BadArchive(f"{REGISTER_FAULT}Error processing tar file({kind}): {said}") from None
        except BadArchive as error:
            raise BadArchive(REGISTER_FAULT + TAR_FAULT + error.message) from None
        except OSError as error:
            raise Internal(f"{REGISTER_FAULT}{TAR_FAULT}write {self.directory}: {reason_of(error)}") from error
        _check(done.diff_id or self._descriptor.digest, self._diff_id)
        return done


class Comparison:
    """A layer whose snapshot is there and whose blob is new: it is only unpacked to be hashed."""

    def __init__(self, download: Download | Present, diff_id: str) -> None:
        self._download = download
        self._diff_id = diff_id
        self.unpacked = 0

    async def run(self) -> None:
        """Hash it. Raises InvalidArgument when it unpacks to something else, Stopped."""
        stop = StopReading(self._download.blob)
        await in_own_thread(lambda: self._hash(Reader(self._download.blob, stop)), stop)

    def _hash(self, reader: Reader) -> None:
        try:
            diff_id, self.unpacked = tar_digest(Unpacked(reader))
        except BadArchive as error:
            raise BadArchive(REGISTER_FAULT + TAR_FAULT + error.message) from None
        _check(diff_id, self._diff_id)


def _check(found: str, expected: str) -> None:
    if found != expected:
        raise InvalidArgument(MISMATCH)


class Extractions:
    """The layers being unpacked in one daemon."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._jobs: Jobs[Extraction] = Jobs()

    def hold(
        self,
        download: Held[Download | Present],
        descriptor: Descriptor,
        *,
        domain: str,
        diff_id: str,
        chain_id: str,
        lowers: Sequence[str],
    ) -> Held[Extraction]:
        """The unpacking of a layer onto ``lowers`` (top first), begun if it is not under way."""
        return self._jobs.hold(
            (domain, chain_id, descriptor.digest),
            lambda: Extraction(self._snapshots, download.again(), descriptor, diff_id, lowers),
        )

    async def close(self) -> None:
        """Wait until what was given up is gone."""
        await self._jobs.close()
