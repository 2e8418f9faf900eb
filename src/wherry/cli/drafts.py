"""Manifest lists put together on this machine, in docker's files: ~/.docker/manifests/<list>/<manifest>.

Both names are references with every slash as _ and every colon as -. A file is one manifest: where it comes from
(Ref), what the list will say of it (Descriptor), and itself (Raw, and once more as SchemaV2Manifest or OCIManifest).
"""

from __future__ import annotations

import os
from binascii import a2b_base64, b2a_base64

from wherry.cli import reference
from wherry.cli.errors import CliError
from wherry.client.jsonio import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.config import Config

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})

_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")


class Entry:
    """One manifest. ``descriptor`` has mediaType, digest, size and platform."""

    __slots__ = ("descriptor", "raw", "ref")

    def __init__(self, ref: str, descriptor: dict[str, Any], raw: bytes) -> None:
        self.ref = ref
        self.descriptor = descriptor
        self.raw = raw

    @property
    def platform(self) -> dict[str, Any]:
        """What it runs on, to be read and changed."""
        found: dict[str, Any] = self.descriptor.setdefault("platform", {})
        return found

    def document(self) -> str:
        """The entry as its file has it, the manifest's own JSON word for word."""
        platform = self.descriptor.get("platform") or {}
        descriptor = {key: self.descriptor[key] for key in ("mediaType", "digest", "size")}
        descriptor["platform"] = {"architecture": "", "os": "", **ordered(platform)}
        member = "OCIManifest" if descriptor["mediaType"] == OCI_MANIFEST else "SchemaV2Manifest"
        head = {"Ref": self.ref, "Descriptor": descriptor, "Raw": b2a_base64(self.raw, newline=False).decode()}
        return f'{dumps(head)[:-1]},"{member}":{self.raw.decode("utf-8", "replace")}}}'


class Drafts:
    """All lists of one user."""

    def __init__(self, config: Config) -> None:
        self._root = os.path.join(config.directory, "manifests")

    def entries(self, name: str) -> list[Entry]:
        """The manifests of a list, in the order of their files. Raises ``CliError`` if there is no such list."""
        try:
            files = sorted(os.listdir(self._directory(name)))
        except FileNotFoundError:
            raise CliError(f"No such manifest: {name}") from None
        return [entry for file in files if (entry := self._read(name, file)) is not None]

    def exists(self, name: str) -> bool:
        """Whether there is such a list."""
        return os.path.isdir(self._directory(name))

    def get(self, name: str, ref: str) -> Entry | None:
        """One manifest of a list."""
        return self._read(name, _file_name(ref))

    def save(self, name: str, entry: Entry) -> None:
        """Put a manifest into a list, or change it there."""
        from wherry.cli.config_file import replace_file

        path = os.path.join(self._directory(name), _file_name(entry.ref))
        try:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            replace_file(path, entry.document().encode(), mode=0o644)
        except OSError as error:
            raise CliError(f"{error.filename}: {(error.strerror or '').lower()}") from error

    def remove(self, name: str) -> None:
        """Forget a list."""
        from shutil import rmtree

        rmtree(self._directory(name), ignore_errors=True)

    def _directory(self, name: str) -> str:
        return os.path.join(self._root, _file_name(name))

    def _read(self, name: str, file: str) -> Entry | None:
        path = os.path.join(self._directory(name), file)
        try:
            with open(path, "rb") as opened:
                document = loads(opened.read())
            return Entry(document["Ref"], document["Descriptor"], a2b_base64(document["Raw"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CliError(f"{path} is no manifest that wherry or docker wrote: {error}") from error


def name_of(text: str, complaint: str = "") -> reference.Reference:
    """A reference with its tag, or digest. Raises ``CliError``."""
    return reference.given(text, complaint).with_default_tag()


def ordered(platform: dict[str, Any]) -> dict[str, Any]:
    """A platform's members in docker's order, without the empty ones."""
    return {key: platform[key] for key in _PLATFORM if platform.get(key)}


def listed(entries: Sequence[dict[str, Any]]) -> bytes:
    """The list of these descriptors, byte for byte as docker writes it: its digest depends on it."""
    from wherry.cli.format.gojson import indent

    first = entries[0].get("mediaType") if entries else ""
    media_type = OCI_INDEX if first == OCI_MANIFEST else DOCKER_LIST
    rows = [
        {
            "mediaType": one["mediaType"],
            "size": one["size"],
            "digest": one["digest"],
            "platform": {"architecture": "", "os": "", **ordered(one.get("platform") or {})},
        }
        for one in entries
    ]
    return indent(dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": rows}), "   ").encode()


def same_registry(target: reference.Reference, entries: Sequence[Entry]) -> None:
    """Raise ``CliError`` for a manifest that lies in another registry than its list will."""
    for entry in entries:
        domain = reference.parse(entry.ref).domain
        if domain != target.domain:
            raise CliError(
                f"cannot use source images from a different registry than the target image: {domain} != {target.domain}"
            )


def _file_name(ref: str) -> str:
    return ref.replace(":", "-").replace("/", "_")
