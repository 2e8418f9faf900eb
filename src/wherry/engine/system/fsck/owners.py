"""Whose a blob or a layer is, in the words of the user: the name of an image."""

from __future__ import annotations

from wherry.engine.images.catalog import names_by_image
from wherry.lib.ids import short
from wherry.state.image import ImageDocument, ImageRecords, Layer


class Owners:
    """The images as they are now, looked at from below."""

    def __init__(self, images: ImageRecords) -> None:
        self._names = names_by_image(images)
        self.documents = images.all()
        self._blobs: dict[str, str] = {}
        self.layers: dict[str, Layer] = {}
        """By chain id."""
        self._chains: dict[str, str] = {}
        for document in self.documents:
            for digest in document.blobs:
                self._blobs.setdefault(digest, document.id)
            for layer in document.layers:
                self.layers.setdefault(layer.chain_id, layer)
                self._chains.setdefault(layer.chain_id, document.id)

    def name(self, image: ImageDocument) -> str:
        """What the image is called, or its id."""
        return self._called(image.id)

    def of_blob(self, digest: str) -> str:
        """``image <name>``, or that no image has it."""
        return self._said(self._blobs.get(digest))

    def of_layer(self, chain_id: str) -> str:
        """The same of a layer."""
        return self._said(self._chains.get(chain_id))

    def _said(self, image_id: str | None) -> str:
        return f"image {self._called(image_id)}" if image_id else "no image"

    def _called(self, image_id: str) -> str:
        names = self._names.get(image_id)
        return names[0].familiar if names else short(image_id)
