"""What ``wherry system df -v`` says beyond Docker: every area of the data root, every layer and blob, the budget."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

from wherry.engine.images.catalog import names_by_image
from wherry.engine.system.areas import Area, Snapshot, measure
from wherry.engine.system.budget import Budget
from wherry.engine.system.uses import Uses
from wherry.lib.clock import rfc3339
from wherry.snapshots.model import COMMITTED
from wherry.state.image import ImageDocument
from wherry.transfer.store import ImageStore


class Explained:
    """Measures one daemon's data root; one measurement at a time."""

    def __init__(self, root: Path, store: ImageStore, budget: Budget, uses: Uses) -> None:
        self._root = root
        self._store = store
        self._budget = budget
        self._uses = uses
        self._measuring = asyncio.Lock()

    async def explain(self) -> dict[str, Any]:
        """GET /wherry/df."""
        async with self._measuring:
            snapshots = {
                str(row.number): Snapshot(row.key, row.kind == COMMITTED) for row in self._store.snapshots.rows()
            }
            areas = await asyncio.to_thread(measure, self._root, snapshots)
            used = await self._budget.used()
        policy = self._budget.policy
        found = {area.name: area for area in areas}
        return {
            "Areas": [
                {"Name": area.name, "Items": area.items, "Size": area.size, "Allocated": area.allocated}
                for area in areas
            ],
            "Allocated": sum(area.allocated for area in areas),
            "Images": self._images(found["layers"], found["blobs"]),
            "Containers": _containers(found),
            "Budget": {"Limit": policy.limit, "Keep": policy.keep, "Used": used},
        }

    def _images(self, layers: Area, blobs: Area) -> list[dict[str, Any]]:
        """Each image's layers and blobs, its own and those that others have too. Bytes on disk."""
        documents = self._store.images.all()
        owners: defaultdict[str, int] = defaultdict(int)
        for document in documents:
            for key in {*document.chain, *document.blobs}:
                owners[key] += 1
        names = names_by_image(self._store.images)
        return [
            {
                "Id": document.id,
                "Names": [name.familiar for name in names.get(document.id, ())],
                "LastUsed": rfc3339(self._uses.last(document)),
                **_shares("Layer", layers, set(document.chain), owners),
                **_shares("Blob", blobs, set(document.blobs), owners),
                "Layers": [_layer(document, number, layers, owners) for number in range(len(document.layers))],
            }
            for document in documents
        ]


def _shares(what: str, area: Area, keys: set[str], owners: dict[str, int]) -> dict[str, int]:
    unique = sum(area.allocated_of(key) for key in keys if owners[key] == 1)
    shared = sum(area.allocated_of(key) for key in keys if owners[key] > 1)
    return {f"{what}Unique": unique, f"{what}Shared": shared}


def _layer(document: ImageDocument, number: int, layers: Area, owners: dict[str, int]) -> dict[str, Any]:
    layer = document.layers[number]
    return {
        "ChainId": layer.chain_id,
        "DiffId": layer.diff_id,
        "Digest": layer.digest,
        "Allocated": layers.allocated_of(layer.chain_id),
        "BlobSize": layer.size,
        "Images": owners[layer.chain_id],
    }


def _containers(areas: dict[str, Area]) -> list[dict[str, Any]]:
    keys = {key for name in ("containers", "container files", "logs") for key in areas[name].parts} - {"."}
    return [
        {
            "Id": key,
            "Layer": areas["containers"].allocated_of(key),
            "Log": areas["logs"].allocated_of(key),
            "Files": areas["container files"].allocated_of(key),
        }
        for key in sorted(keys)
    ]
