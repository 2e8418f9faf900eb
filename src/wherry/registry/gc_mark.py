"""What of a registry is in use: pure reading, for ``gc_sweep``.

In use are the manifests of every repository, and what they name. Where untagged manifests are to go, those are in use
that a tag names, that an index in use lists, and that refer to one in use by their subject, to any depth; the others,
old enough, are ``stale``. What cannot be understood is kept, with every digest that its bytes hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from wherry.registry.documents import Document
from wherry.registry.errors import BadManifest
from wherry.registry.store import Repository, Store

_DIGEST = re.compile(rb"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Named:
    """What one manifest names."""

    blobs: frozenset[str]
    manifests: frozenset[str] = frozenset()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Stale:
    """A manifest that nothing needs."""

    repository: str
    digest: str
    named: Named


@dataclass(slots=True)
class Marks:
    """What one look at the registry has found."""

    used: set[str] = field(default_factory=set)
    """Digests that must stay."""
    stale: list[Stale] = field(default_factory=list)
    """The manifests that nothing needs."""
    links: dict[str, set[str]] = field(default_factory=dict)
    """The repositories that have a blob, by its digest."""

    def keep(self, digest: str, named: Named) -> None:
        """A manifest, and what it names, must stay."""
        self.used.add(digest)
        self.used |= named.blobs
        self.used |= named.manifests


def names_in(raw: bytes) -> Named:
    """What a manifest names."""
    try:
        document = Document(raw)
    except BadManifest:
        return Named(frozenset(found.decode() for found in _DIGEST.findall(raw)))
    blobs = frozenset(one.digest for one in document.blobs)
    return Named(blobs, frozenset(one.digest for one in document.manifests), document.subject)


def mark(store: Store, *, delete_untagged: bool, old: Callable[[str, float], bool], report: Report) -> Marks:
    """Look at every repository. ``old(digest, modified)``: whether a manifest linked then may be taken as abandoned."""
    marks = Marks()
    for name in store.repositories():
        report(name)
        repository = store.repository(name)
        manifests = dict(_manifests(repository))
        kept: AbstractSet[str] = manifests.keys()
        if delete_untagged:
            young = [one for one in manifests if not old(one, repository.manifest_since(one))]
            kept = _kept(repository, manifests, young)
        for digest, named in manifests.items():
            if digest not in kept:
                report(f"{name}: manifest eligible for deletion: {digest}")
                marks.stale.append(Stale(name, digest, named))
                continue
            report(f"{name}: marking manifest {digest}")
            for blob in sorted(named.blobs | named.manifests):
                report(f"{name}: marking blob {blob}")
            marks.keep(digest, named)
        for digest in repository.blobs():
            marks.links.setdefault(digest, set()).add(name)
    return marks


def _manifests(repository: Repository) -> Iterator[tuple[str, Named]]:
    for digest in repository.manifests():
        raw = repository.manifest(digest)
        if raw is not None:
            yield digest, names_in(raw)


def _kept(repository: Repository, manifests: Mapping[str, Named], young: Iterable[str]) -> AbstractSet[str]:
    """The manifests that a tag, an index or a subject keeps, and those too young to be judged with what they need."""
    referrers: dict[str, list[str]] = {}
    for digest, content in manifests.items():
        if content.subject:
            referrers.setdefault(content.subject, []).append(digest)
    pending = [named for tag in repository.tags() if (named := repository.resolve(tag))]
    pending += young
    kept: set[str] = set()
    while pending:
        digest = pending.pop()
        if digest in kept or digest not in manifests:
            continue
        kept.add(digest)
        pending += manifests[digest].manifests
        pending += referrers.get(digest, ())
    return kept
