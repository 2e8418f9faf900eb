"""Finding images: by name, by digest, by id and by the beginning of one."""

from __future__ import annotations

from collections.abc import Iterable

from wherry.engine.images.model import ImageRecord
from wherry.lib.errors import NotFound, WherryError
from wherry.oci.digest import Digest
from wherry.oci.image import CONFIG_MAX, ParsedImage, parse_image
from wherry.oci.reference import Reference, parse_any, parse_reference
from wherry.state.image import ImageDocument, ImageRecords
from wherry.transfer.store import ImageStore

ALGORITHM = "sha256:"


class Catalog:
    """The images of a store, with their configs read once."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._parsed: dict[str, ParsedImage] = {}

    def resolve(self, text: str) -> ImageRecord:
        """The image that ``text`` names, in Docker's order: full id, name, beginning of an id.

        Raises NotFound, InvalidArgument for what is no reference.
        """
        reference = parse_any(text)
        if isinstance(reference, Reference):
            image_id = self._store.images.named(reference.stored) or self._by_prefix(text)
            missing = reference.tagged().familiar
        else:
            image_id, missing = reference, reference
        document = self._store.images.get(image_id) if image_id else None
        if document is None:
            raise NotFound(f"No such image: {missing}")
        return self.record(document)

    def get(self, image_id: str) -> ImageRecord | None:
        """The image of a full id."""
        document = self._store.images.get(image_id)
        return self.record(document) if document is not None else None

    def all(self) -> list[ImageRecord]:
        """Every image whose config can be read; damage is named at start-up."""
        names = names_by_image(self._store.images)
        found = []
        for document in self._store.images.all():
            try:
                parsed = self._config(document.id)
            except WherryError:
                continue
            references = sort_references(names.get(document.id, ()))
            found.append(ImageRecord(document=document, parsed=parsed, references=references))
        return found

    def record(self, document: ImageDocument) -> ImageRecord:
        """An image with its config and its names. Raises Internal when the config is damaged."""
        names = [parse_reference(name) for name in self._store.images.names(document.id)]
        return ImageRecord(document=document, parsed=self._config(document.id), references=sort_references(names))

    def references(self, image_id: str) -> tuple[Reference, ...]:
        """The names of an image."""
        return sort_references([parse_reference(name) for name in self._store.images.names(image_id)])

    def forget(self, image_id: str) -> None:
        """The image is gone."""
        self._parsed.pop(image_id, None)

    def _config(self, image_id: str) -> ParsedImage:
        parsed = self._parsed.get(image_id)
        if parsed is None:
            parsed = self._parsed[image_id] = parse_image(self._store.content.read(Digest(image_id), CONFIG_MAX))
        return parsed

    def _by_prefix(self, text: str) -> str | None:
        prefix = text if text.startswith(ALGORITHM) else ALGORITHM + text
        if not set(prefix[len(ALGORITHM) :]) <= set("0123456789abcdef") or prefix == ALGORITHM:
            return None
        found = self._store.images.ids_from(prefix)
        return found[0] if len(found) == 1 else None


def names_by_image(images: ImageRecords) -> dict[str, list[Reference]]:
    """The names of every image that has one, by its id."""
    names: dict[str, list[Reference]] = {}
    for name, image_id in images.all_names():
        names.setdefault(image_id, []).append(parse_reference(name))
    return names


def is_id_prefix(image_id: str, text: str) -> bool:
    """Whether ``text`` begins the id, with or without its algorithm."""
    return image_id.startswith(text) or image_id[len(ALGORITHM) :].startswith(text)


def sort_references(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """In Docker's order: by what people write."""
    return tuple(sorted(references, key=lambda reference: reference.familiar))
