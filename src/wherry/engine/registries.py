"""What is asked of registries without an image coming or going: logging in, looking at a name, searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from wherry.lib.errors import Internal, InvalidArgument, WherryError
from wherry.lib.filters import Filters
from wherry.oci.digest import digest_of
from wherry.oci.index import parse_index
from wherry.oci.manifest import INDEXES, MANIFESTS, Descriptor, Platform, parse_manifest
from wherry.oci.reference import Reference, parse_any
from wherry.transfer.remote.credentials import Credentials
from wherry.transfer.remote.login import log_in
from wherry.transfer.remote.registries import Registries
from wherry.transfer.remote.repository import Repository
from wherry.transfer.remote.search import Found, search
from wherry.transfer.remote.stop import Stop
from wherry.transfer.resolve import read_blob
from wherry.transfer.threads import in_own_thread
from wherry.wire.registry import (
    AuthAnswer,
    DistributionDescriptor,
    DistributionInspect,
    DistributionPlatform,
    SearchResult,
)

CONFIG_MAX = 1024 * 1024
"""Bytes of an image config that is read only to learn its platform."""
FILTERS = ("is-automated", "is-official", "stars")

T = TypeVar("T")


class RegistryQueries:
    """The use cases; every one is given up when its caller is cancelled."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    async def log_in(self, credentials: Credentials) -> AuthAnswer:
        """Try the credentials. Raises Unauthorized, Internal, InvalidArgument."""
        token = await _run(lambda stop: log_in(self._registries, credentials, stop))
        return AuthAnswer(identity_token=token)

    async def distribution(self, name: str, credentials: Credentials | None) -> DistributionInspect:
        """The descriptor and the platforms behind a name. Raises NotFound, Unauthorized, Internal, InvalidArgument."""
        reference = parse_any(name)
        if not isinstance(reference, Reference):
            raise Internal("no manifest found for full image ID")
        tagged = reference.tagged()
        return await _run(lambda stop: _inspect(self._registries, tagged, credentials, stop))

    async def search(
        self, term: str, limit: int, filters: Filters, credentials: Credentials | None
    ) -> list[SearchResult]:
        """Repositories that the registry finds and the filters let through. Raises InvalidArgument, Internal."""
        filters.check(FILTERS)
        if filters.flag("is-automated", default=False):
            # Nothing is automated any more.
            return []
        official = filters.flag("is-official", default=False) if filters.get("is-official") else None
        stars = max((_stars(text) for text in filters.get("stars")), default=0)
        found = await _run(lambda stop: search(self._registries, term, limit, credentials, stop))
        return [
            _result(one)
            for one in found
            if (official is None or one.is_official == official) and one.star_count >= stars
        ]


async def _run(work: Callable[[Stop], T]) -> T:
    stop = Stop()
    return await in_own_thread(lambda: work(stop), stop)


def _stars(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(
            f"invalid filter 'stars={text}': strconv.Atoi: parsing \"{text}\": invalid syntax"
        ) from None


def _result(one: Found) -> SearchResult:
    return SearchResult(
        name=one.name,
        description=one.description or "",
        star_count=one.star_count,
        is_official=one.is_official,
    )


def _inspect(
    registries: Registries, name: Reference, credentials: Credentials | None, stop: Stop
) -> DistributionInspect:
    repository = registries.open(name, credentials, stop=stop, plain=True)
    found = repository.manifest(name.digest or name.tag)
    descriptor = DistributionDescriptor(media_type=found.media_type, digest=found.digest, size=len(found.raw))
    return DistributionInspect(
        descriptor=descriptor, platforms=_platforms(repository, found.media_type, found.raw) or None
    )


def _platforms(repository: Repository, media_type: str, raw: bytes) -> list[DistributionPlatform]:
    if media_type in INDEXES:
        return [_shown(one.platform) for one in parse_index(raw).manifests if one.platform is not None]
    if media_type in MANIFESTS:
        platform = _platform_of(repository, parse_manifest(raw).config)
        return [_shown(platform)] if platform is not None and (platform.os or platform.architecture) else []
    return []


def _platform_of(repository: Repository, config: Descriptor) -> Platform | None:
    """What the image's config says; a config that cannot be had or read leaves the platform unknown, as in Docker."""
    if not 0 <= config.size <= CONFIG_MAX:
        return None
    try:
        raw = read_blob(repository, config)
        return msgspec.json.decode(raw, type=Platform) if digest_of(raw) == config.digest else None
    except (WherryError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _shown(platform: Platform) -> DistributionPlatform:
    return DistributionPlatform(
        architecture=platform.architecture,
        os=platform.os,
        os_version=platform.os_version,
        os_features=platform.os_features,
        variant=platform.variant,
    )
