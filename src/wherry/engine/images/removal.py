"""``docker rmi`` and prune: which names go, whether the image may go, and what goes with it.

The rules are moby's (daemon/images/image_delete.go), the words too. A conflict is *hard* (a running container, a child
image) or *soft* (a stopped container, further names), and only a soft one can be forced:

    given           other names         containers          outcome
    a name          some                any                 that name goes
    a name          none                some                refused unless forced; forced: see the id's row
    an id           one repository      none                names, image, layers go
    an id           several             any                 refused unless forced
    an id, forced   any                 stopped             names and image go, their layers with the last container
    any, forced     any                 running             refused; a name goes first and stays gone
"""

from __future__ import annotations

from collections.abc import Sequence

from wherry.engine.images.catalog import Catalog, is_id_prefix
from wherry.engine.images.model import ContainerUsers, EventSink, ImageRecord
from wherry.lib.errors import Conflict, NotFound
from wherry.lib.filters import Filters
from wherry.lib.ids import short
from wherry.lib.timespan import labels_match, until_ns
from wherry.oci.reference import Reference, parse_reference
from wherry.state import image as image_state
from wherry.transfer.store import ImageStore
from wherry.wire.image import DeleteItem, PruneReport

PRUNE_FILTERS = ("dangling", "label", "label!", "until")


class Removal:
    """Removes images of one store."""

    def __init__(self, store: ImageStore, catalog: Catalog, users: ContainerUsers, events: EventSink) -> None:
        self._store = store
        self._catalog = catalog
        self._users = users
        self._events = events

    async def remove(self, text: str, *, force: bool, prune: bool) -> list[DeleteItem]:
        """Remove what ``text`` names; ``prune``: parents that nothing needs too. Raises NotFound, Conflict."""
        record = self._catalog.resolve(text)
        if is_id_prefix(record.id, text):
            return await self._by_id(record, force=force, prune=prune)
        return await self._by_name(record, text, force=force, prune=prune)

    async def prune(self, filters: Filters) -> PruneReport:
        """Remove unused images: those without a name, or with ``dangling=false`` all. Raises InvalidArgument."""
        filters.check(PRUNE_FILTERS)
        dangling = filters.flag("dangling", default=True)
        until = until_ns(filters)
        sizes = {row.key: row.size for row in self._store.snapshots.rows()}
        deleted: list[DeleteItem] = []
        for record in self._catalog.all():
            if not record.references and self._store.images.children(record.id):
                continue
            if (until is not None and record.created_ns > until) or not labels_match(filters, record.labels):
                continue
            if dangling and record.repo_tags:
                continue
            for text in [str(name) for name in record.references] or [record.id.partition(":")[2]]:
                try:
                    deleted += await self.remove(text, force=False, prune=True)
                except (Conflict, NotFound):
                    continue  # in use: prune leaves it, without a word
        freed = sum(sizes.get(item.deleted, 0) for item in deleted if item.deleted)
        self._events.emit("image", "prune", "", {"reclaimed": str(freed)})
        return PruneReport(images_deleted=deleted or None, space_reclaimed=freed)

    # --- the two ways of naming -----------------------------------------------------------------------------------

    async def _by_name(self, record: ImageRecord, text: str, *, force: bool, prune: bool) -> list[DeleteItem]:
        users = self._users.users_of(record.id)
        if not force and users and _single(record.references):
            raise Conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) - container '
                f"{short(users[0].container_id)} is using its referenced image {short(record.id)}"
            )
        name = parse_reference(text).tagged()
        gone = [name]
        rest = [other for other in record.references if other.stored != name.stored]
        if not name.digest and not any(other.name == name.name and not other.digest for other in rest):
            # With its last tag a repository loses its digests too.
            gone += [other for other in rest if other.name == name.name]
            rest = [other for other in rest if other.name != name.name]
        await self._unname(gone)
        self._tell(record, "untag")
        items = [DeleteItem(untagged=one.familiar) for one in gone]
        if not rest:
            await self._delete(record.id, items, force=force, prune=prune, quiet=True, unnamed=True)
        return items

    async def _by_id(self, record: ImageRecord, *, force: bool, prune: bool) -> list[DeleteItem]:
        items: list[DeleteItem] = []
        if _single(record.references):
            # The names go with the image, so they are no conflict.
            self._check(record.id, soft=not force, names=False)
        await self._delete(record.id, items, force=force, prune=prune, quiet=False, unnamed=_single(record.references))
        return items

    async def _delete(
        self, image_id: str, items: list[DeleteItem], *, force: bool, prune: bool, quiet: bool, unnamed: bool
    ) -> None:
        """Delete the image, its names, its layers, and with ``prune`` the parents that then have no use."""
        at: str = image_id
        while at:
            record = self._catalog.get(at)
            if record is None:
                return
            try:
                self._check(at, soft=not force, names=not unnamed)
            except Conflict:
                if quiet:
                    return  # a name was removed, or a child: that was what was asked for
                raise
            await self._drop(record, items)
            if not prune:
                return
            at, force, quiet, unnamed = record.document.parent, False, True, False

    async def _drop(self, record: ImageRecord, items: list[DeleteItem]) -> None:
        for reference in record.references:
            items.append(DeleteItem(untagged=reference.familiar))
            self._tell(record, "untag")
        await self._store.database.write(lambda connection: image_state.delete(connection, record.id))
        garbage = await self._store.collect()
        self._tell(record, "delete")
        self._catalog.forget(record.id)
        items.append(DeleteItem(deleted=record.id))
        own = set(record.document.chain)
        items += [DeleteItem(deleted=key) for key, _ in garbage.snapshots if key in own]

    # --- steps ----------------------------------------------------------------------------------------------------

    def _check(self, image_id: str, *, soft: bool, names: bool) -> None:
        """Raise Conflict for what stands against deleting; soft reasons, and names among them, only when asked."""
        if self._store.images.children(image_id):
            raise _conflict(image_id, "image has dependent child images", hard=True)
        users = self._users.users_of(image_id)
        running = [user for user in users if user.running]
        if running:
            about = f"image is being used by running container {short(running[0].container_id)}"
            raise _conflict(image_id, about, hard=True)
        if soft and names and self._catalog.references(image_id):
            raise _conflict(image_id, "image is referenced in multiple repositories", hard=False)
        if soft and users:
            about = f"image is being used by stopped container {short(users[0].container_id)}"
            raise _conflict(image_id, about, hard=False)

    async def _unname(self, names: Sequence[Reference]) -> None:
        stored = [name.stored for name in names]

        await self._store.database.write(lambda connection: image_state.unpoint(connection, stored))

    def _tell(self, record: ImageRecord, action: str) -> None:
        # Of a deleted image Docker can no longer tell the labels.
        labels = {} if action == "delete" else record.labels
        self._events.emit("image", action, record.id, {**labels, "name": record.id})


def _conflict(image_id: str, about: str, *, hard: bool) -> Conflict:
    return Conflict(
        f"conflict: unable to delete {short(image_id)} ({'cannot be forced' if hard else 'must be forced'}) - {about}"
    )


def _single(references: Sequence[Reference]) -> bool:
    """Whether all names are one name: a tag at most, and digests of the same repository."""
    if len(references) <= 1:
        return True
    tags = [one for one in references if not one.digest]
    if len(tags) > 1:
        return False
    repositories = {one.name for one in references if one.digest}
    return repositories == {(tags or references)[0].name}
