"""One blob to a registry, by the cheapest way that works: it is there, it can be mounted, it must be sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import BinaryIO, Protocol

from wherry.content import ContentStore
from wherry.diff.errors import Stopped
from wherry.lib.errors import Forbidden, Internal, NotFound, Unauthorized, WherryError
from wherry.oci.digest import Digest
from wherry.oci.reference import Reference, parse_reference
from wherry.transfer.packing import Damaged, packed
from wherry.transfer.progress import retrying
from wherry.transfer.push_target import Known, Target

CHECKS = 3
MOUNTS = 4
"""How many blobs of a layer are asked for, and how many repositories to mount from: as dockerd for a large layer."""

ATTEMPTS = 5
RETRY_S = 5
"""Seconds before the second attempt; as many more before each further one."""

EXISTS = "Layer already exists"
PUSHED = "Pushed"
PUSHING = "Pushing"
FOREIGN = "Skipped foreign layer"

Say = Callable[[str, int, int], None]
"""Told a status, and for PUSHING bytes done and in all; called from a thread."""


class Switch(Protocol):
    """Set when the client has gone."""

    def is_set(self) -> bool:
        """Whether to give up."""

    def wait(self, seconds: float, /) -> object:
        """Sleep. Raises Stopped as soon as the caller gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A blob to push. One that is not ``packed`` is gzipped on the way, and then has another digest there."""

    digest: str
    size: int
    diff_id: str
    unpacked: int
    """Bytes of the tar."""
    packed: bool
    foreign: bool = False
    """Not to be pushed: its manifest says where else it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The blob as the registry has it."""

    digest: str
    size: int


def push_blob(
    content: ContentStore, target: Target, blob: Outgoing, known: Sequence[Known], *, say: Say, stop: Switch
) -> Sent:
    """See to it that the registry has the blob. Blocking. Raises Stopped, and what the target raises."""
    if blob.foreign:
        say(FOREIGN, 0, 0)
        return Sent(digest=blob.digest, size=blob.size)
    candidates = _candidates(blob, known)
    for digest, size in list(candidates.items())[:CHECKS]:
        if _has(target, digest):
            say(EXISTS, 0, 0)
            return Sent(digest=digest, size=size)
    for one in _neighbours(target, candidates, known)[:MOUNTS]:
        source = parse_reference(one.repository)
        if _mount(target, one.digest, source):
            say(f"Mounted from {source.path}", 0, 0)
            return Sent(digest=one.digest, size=candidates[one.digest])
    if stop.is_set():
        raise Stopped
    sent = _send(content, target, blob, say, stop)
    say(PUSHED, 0, 0)
    return sent


def _candidates(blob: Outgoing, known: Sequence[Known]) -> dict[str, int]:
    """Digest to size of what would do as this blob."""
    if blob.packed:
        return {blob.digest: blob.size}
    return {one.digest: one.size for one in known}


def _has(target: Target, digest: str) -> bool:
    """Whoever may not look may still be allowed to write; the upload says what is wrong. No registry is no registry."""
    try:
        return target.has_blob(digest)
    except (Unauthorized, Forbidden, NotFound):
        return False


def _neighbours(target: Target, candidates: dict[str, int], known: Sequence[Known]) -> list[Known]:
    """Where the blob could be mounted from, the likeliest to be allowed first."""
    own = target.name
    others = [
        one
        for one in known
        if one.digest in candidates and one.repository != own.name and one.repository.startswith(f"{own.domain}/")
    ]
    return sorted(others, key=lambda one: -_common(one.repository, own.name))


def _common(one: str, other: str) -> int:
    count = 0
    for mine, theirs in zip(one.split("/"), other.split("/"), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _mount(target: Target, digest: str, source: Reference) -> bool:
    try:
        return target.mount_blob(digest, source)
    except WherryError:
        return False  # not allowed to read there, say: the upload comes next and tells what matters


def _send(content: ContentStore, target: Target, blob: Outgoing, say: Say, stop: Switch) -> Sent:
    with content.open(Digest(blob.digest)) as file:
        if blob.packed:
            if not content.intact(Digest(blob.digest), blob.size):
                raise Internal(f"blob {blob.digest} is damaged")
            target.upload(
                blob.digest,
                blob.size,
                file,
                lambda done: say(PUSHING, done, blob.size),
                on_retry=lambda left: say(retrying(left), 0, 0),
            )
            return Sent(digest=blob.digest, size=blob.size)
        return _stream(target, blob, file, say, stop)


def _stream(target: Target, blob: Outgoing, file: BinaryIO, say: Say, stop: Switch) -> Sent:
    """Pack and send; from the beginning again where the registry failed, as often and with such waits as dockerd."""
    for attempt in count(1):
        file.seek(0)
        pieces = packed(
            file, diff_id=blob.diff_id, advance=lambda done: say(PUSHING, done, blob.unpacked), stopped=stop.is_set
        )
        try:
            digest, size = target.upload_stream(pieces, lambda _: None)
        except Damaged:
            raise
        except Internal:
            if attempt == ATTEMPTS:
                raise
        else:
            return Sent(digest=digest, size=size)
        finally:
            pieces.close()
        for left in range(RETRY_S * attempt, 0, -1):
            say(retrying(left), 0, 0)
            stop.wait(1)
    raise AssertionError("unreachable")
