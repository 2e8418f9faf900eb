"""The end of ``wherry system df -v``: each byte of the daemon's data by what it is for (beyond Docker)."""

from __future__ import annotations

from wherry.cli.format.table import table
from wherry.cli.format.text import short_id
from wherry.cli.format.units import human_size
from wherry.client import system
from wherry.client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App

_MEANING = {
    "layers": "unpacked layers of images",
    "blobs": "layers as they came, configs, manifests",
    "ingest": "on the way in",
    "containers": "what containers wrote",
    "container files": "hosts, hostname, resolv.conf and the like",
    "logs": "output of containers",
    "volumes": "local volumes",
    "state": "the database",
    "prepared": "directories made ahead",
    "other": "everything else",
}


def show_explained(app: App) -> None:
    """Print it; nothing where the daemon is Docker's."""
    try:
        found = system.explained(app.client)
    except ApiError as error:
        if error.status == 404:
            return
        raise
    app.out("\nBytes on disk:\n\n")
    app.out(table([("AREA", "ITEMS", "IN FILES", "ON DISK", "WHAT"), *map(_area, found["Areas"])]))
    app.line(f"\nTotal on disk: {human_size(found['Allocated'], 4)}")
    if found["Images"]:
        app.out("\nImages on disk:\n\n")
        head = ("IMAGE", "ID", "LAYERS", "LAYERS SHARED", "BLOBS", "BLOBS SHARED", "LAST USED")
        app.out(table([head, *map(_image, found["Images"])]))
    if found["Containers"]:
        app.out("\nContainers on disk:\n\n")
        app.out(table([("ID", "LAYER", "LOG", "FILES"), *map(_container, found["Containers"])]))
    budget = found["Budget"]
    if budget["Limit"]:
        kept = f"{budget['Keep']} of each repository kept"
        app.line(f"\nDisk budget: {human_size(budget['Used'])} of {human_size(budget['Limit'])} used, {kept}")


def _area(area: dict[str, Any]) -> tuple[str, ...]:
    sizes = (human_size(area["Size"]), human_size(area["Allocated"]))
    return area["Name"], str(area["Items"]), *sizes, _MEANING.get(area["Name"], "")


def _image(image: dict[str, Any]) -> tuple[str, ...]:
    name = image["Names"][0] if image["Names"] else "<none>"
    columns = ("LayerUnique", "LayerShared", "BlobUnique", "BlobShared")
    used = image["LastUsed"][:19].replace("T", " ")
    return name, short_id(image["Id"]), *(human_size(image[column]) for column in columns), used


def _container(one: dict[str, Any]) -> tuple[str, ...]:
    return short_id(one["Id"]), *(human_size(one[column]) for column in ("Layer", "Log", "Files"))
