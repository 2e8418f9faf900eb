"""The image config: what ``docker inspect`` shows of an image, and what its id is the digest of.

Sources: image-spec config.md, and Docker's additions to it. The struct reads what wherry uses; the bytes as they came
stay the truth, because the digest is over them (``ParsedImage.raw``). ``amend`` writes a changed config and keeps every
member that is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import Digest, chain_ids, digest_of, is_digest

CONFIG_MAX = 8 * 1024 * 1024
"""Bytes; a larger config is refused (Docker: 4 MiB for manifests, none for configs)."""
LAYERS_MAX = 125
"""As in Docker's overlay2."""


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A health check; durations in ns, 0 means the default."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The ``config`` member: defaults for the containers made of the image."""

    user: str = ""
    exposed_ports: dict[str, dict[str, Any]] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    volumes: dict[str, dict[str, Any]] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    args_escaped: bool = False
    healthcheck: Health | None = None
    on_build: list[str] | None = None
    shell: list[str] | None = None


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The layers, bottom first, by the digest of their uncompressed tars."""

    type: str = "layers"
    diff_ids: list[str] | None = None


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one layer (or, with ``empty_layer``, none) came to be."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image config as far as wherry reads it."""

    created: str | None = None
    author: str = ""
    architecture: str = ""
    variant: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    config: ImageConfig | None = None
    rootfs: RootFs | None = None
    history: list[History] | None = None
    comment: str = ""
    container: str = ""
    docker_version: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ParsedImage:
    """An image config: its bytes, their digest (the image's id) and their meaning."""

    raw: bytes
    digest: Digest
    image: Image
    chain: tuple[Digest, ...]
    """Chain ids of the layers, bottom first; the last names the snapshot that containers stand on."""

    @property
    def diff_ids(self) -> list[str]:
        """Digests of the layers' uncompressed tars, bottom first."""
        return list((self.image.rootfs or RootFs()).diff_ids or [])


_DECODER = msgspec.json.Decoder(Image)


def parse_image(raw: bytes) -> ParsedImage:
    """The config that ``raw`` holds. Raises InvalidArgument."""
    try:
        image = _DECODER.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid image JSON: {error}") from None
    if image.rootfs is None:
        raise InvalidArgument("invalid image JSON, no RootFS key")
    diff_ids = image.rootfs.diff_ids or []
    for diff_id in diff_ids:
        if not is_digest(diff_id):
            raise InvalidArgument(f"invalid image JSON: invalid diff id {diff_id!r}")
    return ParsedImage(raw=raw, digest=digest_of(raw), image=image, chain=tuple(chain_ids(diff_ids)))


def amend(raw: bytes, changes: Mapping[str, object]) -> bytes:
    """``raw`` with the members of ``changes`` replaced; members unknown to wherry stay. Keys are sorted."""
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    merged: dict[str, object] = {**members, **changes}
    return msgspec.json.encode(dict(sorted(merged.items())))
