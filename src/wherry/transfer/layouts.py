"""What an image archive holds, whichever tool made it: three layouts, one plan.

    manifest.json          docker save (any age), skopeo docker-archive:, podman save
    index.json             OCI image layout: skopeo oci-archive:, podman save --format oci-archive, buildx
    repositories           docker before 1.10: see ``legacy``

docker 25 and later writes the first two into one archive; like dockerd, the first is taken then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import encoded, parse_digest
from wherry.oci.image import CONFIG_MAX, LAYERS_MAX, ParsedImage, parse_image
from wherry.oci.index import IMAGE_NAME, NESTING_MAX, REF_NAME, attestations_of, choose, images_of, parse_index
from wherry.oci.manifest import INDEXES, MANIFEST_MAX, MANIFESTS, Descriptor, Platform, host_platform, parse_manifest
from wherry.oci.platform import fits
from wherry.oci.reference import Reference, parse_reference
from wherry.transfer.legacy import read_legacy
from wherry.transfer.members import Member, Members

MANIFEST = "manifest.json"
INDEX = "index.json"
REPOSITORIES = "repositories"


class ManifestItem(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image in manifest.json; paths are names of members."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The blobs beside an image's config and layers, as ``state.image.ImageDocument`` has them."""

    manifest: Member
    index: Member | None
    attached: tuple[Member, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them."""
        return (self.manifest, *([self.index] if self.index is not None else []), *self.attached)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """One image of the archive: its config, its layers bottom first, its names."""

    parsed: ParsedImage
    layers: tuple[Member, ...]
    names: tuple[Reference, ...]
    lists: Lists | None = None
    """What an OCI layout says of it, to be kept."""


def read_plan(members: Members, wanted: Platform | None) -> list[PlannedImage]:
    """The images of an archive, those of the platform ``wanted`` or, of several, of this machine's.

    Raises InvalidArgument.
    """
    platform = wanted or host_platform()
    if members.find(MANIFEST) is not None:
        planned = _docker_archive(members)
        return planned if wanted is None else [one for one in planned if fits(_platform(one.parsed), wanted)]
    if members.find(INDEX) is not None:
        return _oci_layout(members, platform)
    if members.find(REPOSITORIES) is not None:
        found = read_legacy(members.read(REPOSITORIES, MANIFEST_MAX), members)
        return [_planned(config, [members.get(layer) for layer in layers], names) for config, layers, names in found]
    raise InvalidArgument("invalid archive: does not contain a manifest.json")


def _docker_archive(members: Members) -> list[PlannedImage]:
    try:
        items = msgspec.json.decode(members.read(MANIFEST, MANIFEST_MAX), type=list[ManifestItem] | None)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid manifest.json: {error}") from None
    planned = []
    for item in items or []:
        config = members.read(item.config, CONFIG_MAX)
        parsed = _parse(config)
        names = item.layers or []
        if len(names) != len(parsed.diff_ids):
            raise InvalidArgument(
                f"invalid manifest, layers length mismatch: expected {len(names)}, got {len(parsed.diff_ids)}"
            )
        layers = tuple(members.get(name) for name in names)
        planned.append(PlannedImage(parsed=parsed, layers=layers, names=_names(item.repo_tags or [])))
    return planned


def _oci_layout(members: Members, platform: Platform) -> list[PlannedImage]:
    index = parse_index(members.read(INDEX, MANIFEST_MAX))
    # Several names of one image are several descriptors of one digest.
    names: dict[str, list[Reference]] = {}
    routes: dict[str, list[Descriptor]] = {}
    for descriptor in images_of(index.manifests):
        route = _route(members, descriptor, platform, NESTING_MAX)
        if route:
            digest = route[-1].digest
            names.setdefault(digest, []).extend(_annotated(descriptor))
            routes[digest] = max(routes.get(digest, []), route, key=len)
    if not names:
        raise InvalidArgument(f"invalid archive: no image for {platform.os}/{platform.architecture} in {INDEX}")
    return [_from_manifest(members, routes[digest], tuple(found)) for digest, found in names.items()]


def _route(members: Members, descriptor: Descriptor, platform: Platform, depth: int) -> list[Descriptor]:
    """The indexes that lead to a manifest, outermost first, and the manifest; empty where none fits."""
    if descriptor.media_type in MANIFESTS:
        return [descriptor]
    if descriptor.media_type not in INDEXES or depth == 0:
        return []
    chosen = choose(parse_index(_blob(members, descriptor, MANIFEST_MAX)).manifests, platform)
    rest = _route(members, chosen, platform, depth - 1) if chosen is not None else []
    return [descriptor, *rest] if rest else []


def _lists(members: Members, route: Sequence[Descriptor]) -> Lists:
    """The manifest and indexes of a route, and what the last index attests of the manifest."""
    *indexes, manifest = (_member(members, descriptor) for descriptor in route)
    attached = [*indexes[1:], *(_attestations(members, route[-2], manifest.digest) if indexes else [])]
    return Lists(manifest=manifest, index=indexes[0] if indexes else None, attached=tuple(attached))


def _attestations(members: Members, index: Descriptor, digest: str) -> list[Member]:
    """What is in the archive of them; one that lacks a part is left out."""
    found: list[Member] = []
    for descriptor in attestations_of(parse_index(_blob(members, index, MANIFEST_MAX)).manifests, digest):
        try:
            manifest = parse_manifest(_blob(members, descriptor, MANIFEST_MAX))
            parts = [_member(members, part) for part in (manifest.config, *manifest.layers)]
        except InvalidArgument:
            continue
        found += [_member(members, descriptor), *parts]
    return found


def _from_manifest(members: Members, route: Sequence[Descriptor], names: tuple[Reference, ...]) -> PlannedImage:
    digest = route[-1].digest
    manifest = parse_manifest(_blob(members, Descriptor(digest=digest), MANIFEST_MAX))
    parsed = _parse(_blob(members, manifest.config, CONFIG_MAX))
    if len(manifest.layers) != len(parsed.diff_ids):
        raise InvalidArgument(
            f"invalid manifest, layers length mismatch: expected {len(manifest.layers)}, got {len(parsed.diff_ids)}"
        )
    layers = tuple(_member(members, layer) for layer in manifest.layers)
    return PlannedImage(parsed=parsed, layers=layers, names=names, lists=_lists(members, route))


def _platform(parsed: ParsedImage) -> Platform:
    image = parsed.image
    return Platform(os=image.os or "linux", architecture=image.architecture, variant=image.variant)


def _planned(config: bytes, layers: Sequence[Member], names: Sequence[str]) -> PlannedImage:
    return PlannedImage(parsed=_parse(config), layers=tuple(layers), names=_names(names))


def _parse(config: bytes) -> ParsedImage:
    parsed = parse_image(config)
    if parsed.image.os not in ("", "linux"):
        raise InvalidArgument(f"cannot load {parsed.image.os} image on linux")
    if len(parsed.diff_ids) > LAYERS_MAX:
        raise InvalidArgument("max depth exceeded")
    return parsed


def _blob(members: Members, descriptor: Descriptor, limit: int) -> bytes:
    member = _member(members, descriptor)
    return members.read(_path(descriptor.digest), min(limit, member.size))


def _member(members: Members, descriptor: Descriptor) -> Member:
    """The blob of a descriptor, checked against it. Raises InvalidArgument naming it."""
    member = members.get(_path(descriptor.digest))
    if member.digest != descriptor.digest:
        raise InvalidArgument(f"blob {descriptor.digest} has the digest {member.digest}")
    if descriptor.size and member.size != descriptor.size:
        raise InvalidArgument(f"blob {descriptor.digest} has {member.size} bytes instead of {descriptor.size}")
    return member


def _path(digest: str) -> str:
    return f"blobs/sha256/{encoded(parse_digest(digest))}"


def _names(tags: Sequence[str]) -> tuple[Reference, ...]:
    names = []
    for tag in tags:
        name = parse_reference(tag)
        if not name.tag:
            raise InvalidArgument(f'invalid tag "{tag}"')
        names.append(name)
    return tuple(names)


def _annotated(descriptor: Descriptor) -> list[Reference]:
    """The names in a descriptor's annotations. A lone word is a tag of nothing, as ``skopeo copy … oci:dir:tag``."""
    annotations = descriptor.annotations or {}
    name = annotations.get(IMAGE_NAME) or annotations.get(REF_NAME, "")
    if not name or (IMAGE_NAME not in annotations and not set(name) & set(":/@")):
        return []
    reference = parse_reference(name).tagged()
    return [reference] if reference.tag else []
