"""Volumes as the Engine API writes them."""

from __future__ import annotations

import msgspec

from wherry.wire.base import Wire
from wherry.wire.fields import always, null


class VolumeUsage(Wire, frozen=True, kw_only=True):
    """How much a volume holds and how many containers refer to it; -1 is unknown."""

    size: int
    ref_count: int


class Volume(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """One volume; ``usage_data`` only in ``GET /system/df``."""

    created_at: str
    driver: str
    labels: dict[str, str] | None = always(null)
    mountpoint: str
    name: str
    options: dict[str, str] | None = always(null)
    scope: str
    usage_data: VolumeUsage | None = None


class VolumeCreateRequest(Wire, frozen=True, kw_only=True):
    """POST /volumes/create. Without a name the volume is anonymous."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: msgspec.Raw = msgspec.Raw()


class VolumeListResponse(Wire, frozen=True, kw_only=True):
    """GET /volumes."""

    volumes: list[Volume]
    warnings: list[str] | None = None


class VolumesPruneReport(Wire, frozen=True, kw_only=True):
    """POST /volumes/prune."""

    volumes_deleted: list[str]
    space_reclaimed: int
