"""Images: the use cases. Everything that changes the store goes through here and is told as an event."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from wherry.engine.images import listing
from wherry.engine.images.catalog import Catalog
from wherry.engine.images.changes import apply_changes
from wherry.engine.images.inspecting import image_history, inspect_image
from wherry.engine.images.manifests import Manifests
from wherry.engine.images.model import ContainerUsers, EventSink, ImageRecord, ImageUsage
from wherry.engine.images.platforms import check_platform, platform_of
from wherry.engine.images.removal import Removal
from wherry.lib.clock import now_ns
from wherry.lib.errors import Internal, InvalidArgument, NotFound, WherryError
from wherry.lib.filters import Filters
from wherry.oci.manifest import Platform, host_platform
from wherry.oci.platform import fits, show_platform
from wherry.oci.reference import Reference, parse_any, parse_reference
from wherry.state import image as image_state
from wherry.transfer import progress
from wherry.transfer.committing import Child, Pieces, commit_layer, take_layer
from wherry.transfer.importing import import_config, import_rootfs
from wherry.transfer.load import LayerProgress, Loaded, load_archive
from wherry.transfer.members import Member
from wherry.transfer.save import Wanted, save_archive
from wherry.transfer.store import ImageStore
from wherry.wire.image import DeleteItem, HistoryItem, ImageInspect, ImageSummary, PruneReport


class Images:
    """The images of one daemon."""

    def __init__(self, store: ImageStore, users: ContainerUsers, events: EventSink) -> None:
        self._store = store
        self._users = users
        self._events = events
        self._catalog = Catalog(store)
        self._manifests = Manifests(store)
        self._removal = Removal(store, self._catalog, users, events)

    # --- asking ---------------------------------------------------------------------------------------------------

    def resolve(self, name: str) -> ImageRecord:
        """The image that a name, an id or the beginning of one leads to. Raises NotFound, InvalidArgument."""
        return self._catalog.resolve(name)

    def get(self, image_id: str) -> ImageRecord | None:
        """The image of a full id; None once it was removed."""
        return self._catalog.get(image_id)

    def list_images(
        self, filters: Filters, *, all_: bool = False, shared_size: bool = False, manifests: bool = False
    ) -> list[ImageSummary]:
        """The images that pass ``filters``, youngest first. Raises InvalidArgument, NotFound."""
        shared = listing.shared_sizes(self._catalog, self._store.snapshots) if shared_size else None
        found = listing.list_images(self._catalog, filters, all_=all_, shared=shared)
        return listing.with_manifests(found, self._catalog, self._manifests, self._users) if manifests else found

    def inspect(self, name: str, platform: Platform | None = None, *, manifests: bool = False) -> ImageInspect:
        """One image in full. Raises NotFound (for the wrong ``platform`` too), InvalidArgument."""
        record = self.resolve(name)
        check_platform(record, name, platform)
        image = inspect_image(record, self._store.snapshots)
        return msgspec.structs.replace(
            image,
            descriptor=self._manifests.descriptor(record),
            manifests=self._manifests.of(record, self._users.users_of(record.id)) if manifests else None,
        )

    def history(self, name: str, platform: Platform | None = None) -> list[HistoryItem]:
        """How an image came to be, youngest step first. Raises NotFound, InvalidArgument."""
        record = self.resolve(name)
        check_platform(record, name, platform)
        return image_history(record, self._catalog, self._store.snapshots)

    def usage(self) -> ImageUsage:
        """What images take on disk, for ``system df``."""
        return listing.measure(self._catalog, self._store.snapshots, self._users)

    def count(self) -> int:
        """How many images there are, for ``info``."""
        return len(self._store.images.all())

    # --- changing -------------------------------------------------------------------------------------------------

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """Let ``repository:tag`` lead to an image. Raises NotFound, InvalidArgument."""
        record = self.resolve(name)
        reference = _new_name(repository, tag)
        stored = reference.tagged().stored

        def change(connection: sqlite3.Connection) -> None:
            image_state.point(connection, stored, record.id)
            document = image_state.load(connection, record.id) or record.document
            image_state.save(connection, msgspec.structs.replace(document, tagged_ns=now_ns()))

        await self._store.database.write(change)
        self._tell(record.id, "tag", reference.familiar)

    async def remove(
        self, name: str, platform: Platform | None = None, *, force: bool = False, prune: bool = True
    ) -> list[DeleteItem]:
        """Remove a name or an image. Raises NotFound, Conflict, InvalidArgument."""
        if platform is not None:
            check_platform(self.resolve(name), name, platform)
        return await self._removal.remove(name, force=force, prune=prune)

    async def prune(self, filters: Filters) -> PruneReport:
        """Remove what nobody uses. Raises InvalidArgument."""
        return await self._removal.prune(filters)

    # --- moving ---------------------------------------------------------------------------------------------------

    async def load(
        self, archive: AsyncIterator[bytes], *, quiet: bool, platform: Platform | None = None
    ) -> AsyncIterator[bytes]:
        """Load an archive; JSON lines for the client. A fault is the last line, as in Docker, never an exception."""
        unnamed: list[str] = []
        named = False
        try:
            async with aclosing(load_archive(self._store, archive, platform)) as steps:
                async for step in steps:
                    if isinstance(step, Loaded):
                        named = named or bool(step.names)
                        unnamed.append(step.image_id)
                        for line in self._loaded(step):
                            yield progress.encode(line)
                    elif not quiet:
                        yield progress.encode(_loading(step))
        except WherryError as error:
            yield progress.encode(progress.failed(error.message))
            return
        if not named:
            for image_id in unnamed:
                yield progress.encode(progress.said(f"Loaded image ID: {image_id}"))

    def _loaded(self, loaded: Loaded) -> list[progress.Message]:
        lines = []
        for name in loaded.names:
            before = loaded.replaced.get(name)
            if before is not None:
                said = (
                    f"The image {name.familiar} already exists, renaming the old one with ID {before} to empty string"
                )
                lines.append(progress.said(said))
            lines.append(progress.said(f"Loaded image: {name.familiar}"))
        self._tell(loaded.image_id, "load", loaded.image_id)
        return lines

    async def save(self, names: Sequence[str], platform: Platform | None = None) -> AsyncIterator[bytes]:
        """Images as an archive. Raises NotFound, InvalidArgument, Internal before the first piece."""
        found = self._wanted(names)
        for record, _ in found:
            if platform is not None and not fits(platform_of(record), platform):
                raise Internal(f"no suitable export target found for platform {show_platform(platform)}")
        wanted = [Wanted(record.document, references) for record, references in found]
        async with aclosing(save_archive(self._store, wanted)) as pieces:
            async for piece in pieces:
                yield piece
        for one in wanted:
            self._tell(one.image.id, "save", one.image.id)

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
        """Make an image of a root file system's tar; its id. Raises InvalidArgument, BadArchive, Internal."""
        names = (_new_name(repository, tag),) if repository else ()
        if names and names[0].digest:
            raise InvalidArgument("cannot import digest reference")
        target = parse_platform(platform) if platform else host_platform()
        make = import_config(
            apply_changes({}, changes),
            comment=message or "Imported from -",
            architecture=target.architecture,
            os=target.os,
            variant=target.variant,
        )
        loaded = await import_rootfs(self._store, archive, make, tuple(name.tagged() for name in names))
        for name in names:
            self._tell(loaded.image_id, "tag", name.familiar)
        self._tell(loaded.image_id, "import", loaded.image_id)
        return loaded.image_id

    async def take_layer(self, pieces: Pieces) -> Member:
        """Write a layer down. Raises Internal."""
        return await take_layer(self._store.content, pieces)

    async def drop_layer(self, layer: Member) -> None:
        """Forget one that did not become part of an image."""
        await asyncio.to_thread(layer.discard)

    async def commit(self, parent_id: str, layer: Member, child: Child, names: Sequence[Reference]) -> str:
        """Make an image of another one and a layer; its id. Raises NotFound, Internal."""
        parent = self.resolve(parent_id) if parent_id else None
        below = (parent.document, parent.parsed) if parent is not None else None
        loaded = await commit_layer(self._store, below, layer, child, names)
        self._tell(loaded.image_id, "create", loaded.image_id)
        for name in names:
            self._tell(loaded.image_id, "tag", name.familiar)
        return loaded.image_id

    # --- steps ----------------------------------------------------------------------------------------------------

    def _wanted(self, names: Sequence[str]) -> list[tuple[ImageRecord, tuple[Reference, ...]]]:
        """What to save under which names: a repository alone means all its tags, an id no name."""
        found: dict[str, tuple[ImageRecord, list[Reference]]] = {}
        for text in names:
            for record, reference in self._named(text):
                _, references = found.setdefault(record.id, (record, []))
                if reference is not None and reference.tag and reference not in references:
                    references.append(reference)
        return [(record, tuple(references)) for record, references in found.values()]

    def _named(self, text: str) -> list[tuple[ImageRecord, Reference | None]]:
        reference = parse_any(text)
        if not isinstance(reference, Reference) or reference.familiar_name == "sha256":
            return [(self.resolve(text), None)]
        if reference.tag or reference.digest:
            return [(self.resolve(text), reference)]
        every: list[tuple[ImageRecord, Reference | None]] = []
        for record in self._catalog.all():
            every += [(record, name) for name in record.references if name.name == reference.name]
        if every:
            return every
        try:
            return [(self.resolve(text), None)]
        except NotFound:
            raise NotFound(f"No such image: {text}") from None

    def _tell(self, image_id: str, action: str, name: str) -> None:
        record = self._catalog.get(image_id)
        labels = record.labels if record is not None else {}
        self._events.emit("image", action, image_id, {**labels, "name": name})


def _loading(step: LayerProgress) -> progress.Message:
    return progress.loading(step.diff_id, step.current, step.total)


def _new_name(repository: str, tag: str) -> Reference:
    reference = parse_reference(repository)
    return reference.with_tag(tag) if tag else reference


def parse_platform(text: str) -> Platform:
    """``os[/architecture[/variant]]``. Raises InvalidArgument."""
    parts = text.lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument')
    host = host_platform()
    if parts[0] != "linux":
        raise InvalidArgument(f"operating system is not supported: {parts[0]}")
    return Platform(
        os=parts[0],
        architecture=parts[1] if len(parts) > 1 else host.architecture,
        variant=parts[2] if len(parts) > 2 else "",
    )
