"""The URL table of the daemon itself: info, version, disk usage; and what older API versions had besides."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, Protocol

import msgspec

from wherry.api.server.routing import ApiVersion, Json, Request, Response, Route
from wherry.lib.errors import InvalidArgument
from wherry.wire.system import DiskUsage, SystemInfo, Version

KINDS = ("container", "image", "volume", "build-cache")

FIREWALL_SINCE = ApiVersion(1, 49)
"""Since then also no expected commits."""
BRIDGE_FILTERS_UNTIL = ApiVersion(1, 50)
NONDISTRIBUTABLE_UNTIL = ApiVersion(1, 48)
VIRTUAL_SIZE_UNTIL = ApiVersion(1, 44)
KINDS_SINCE = ApiVersion(1, 42)


class Backend(Protocol):
    """What the daemon knows of itself."""

    def info(self) -> SystemInfo:
        """``docker info``."""

    def version(self) -> Version:
        """``docker version``."""

    async def disk_usage(self, kinds: Collection[str] = KINDS) -> DiskUsage:
        """``docker system df``."""


def routes(backend: Backend) -> list[Route]:
    """The URL table."""
    return [
        Route("GET", "/info", partial(system_info, backend)),
        Route("GET", "/version", partial(system_version, backend)),
        Route("GET", "/system/df", partial(disk_usage, backend), since=ApiVersion(1, 25)),
    ]


async def system_info(backend: Backend, request: Request) -> Response:
    """Everything about the daemon and its machine."""
    return Json(info_for(backend.info(), request.version))


def info_for(info: SystemInfo, version: ApiVersion) -> dict[str, Any]:
    """``info`` as a client of ``version`` expects it."""
    answer: dict[str, Any] = msgspec.to_builtins(info)
    for name in ("DefaultAddressPools", "KernelMemoryTCP"):
        if not answer[name]:
            del answer[name]
    if version < NONDISTRIBUTABLE_UNTIL:
        answer["RegistryConfig"] |= {
            "AllowNondistributableArtifactsCIDRs": None,
            "AllowNondistributableArtifactsHostnames": None,
        }
    if version < FIREWALL_SINCE:
        del answer["FirewallBackend"]
        for name in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            answer[name]["Expected"] = answer[name]["ID"]
    if version < BRIDGE_FILTERS_UNTIL:
        answer |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
        answer.pop("DiscoveredDevices", None)
    return answer


async def system_version(backend: Backend, _request: Request) -> Response:
    """What runs here."""
    return Json(backend.version())


async def disk_usage(backend: Backend, request: Request) -> Response:
    """What is on disk, by kind."""
    kinds = request.query.texts("type") if request.version >= KINDS_SINCE else []
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidArgument(f"unknown object type: {kind}")
    answer: dict[str, Any] = msgspec.to_builtins(await backend.disk_usage(kinds or KINDS))
    if request.version < VIRTUAL_SIZE_UNTIL:
        for image in answer["Images"] or []:
            image["VirtualSize"] = image["Size"]
    return Json(answer)
