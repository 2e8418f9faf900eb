"""The members of an image archive, taken out as it streams by: small ones in memory, the rest as staged blobs.

Nothing is unpacked under a name from the archive. Names are only keys here, and links are followed among them.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
from dataclasses import dataclass, field
from typing import BinaryIO

from wherry.content import ContentStore, Staged
from wherry.diff.apply import clean_name
from wherry.diff.compression import CHUNK, Readable, Unpacked
from wherry.diff.errors import BadArchive
from wherry.diff.source import Source
from wherry.diff.tar import LINK, REGULAR, SYMLINK, Entry, TarReader
from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.digest import Digest, digest_of

SMALL = 256 * 1024
SMALL_TOTAL = 64 * 1024 * 1024
MEMBERS_MAX = 100_000
LINKS_MAX = 16
TAR_FAULT = "Error processing tar file(exit status 1): "
"""What Docker says before the reason, of every tar that it cannot read or apply."""


@dataclass(slots=True)
class Member:
    """One regular file of the archive: its bytes, or the blob that it was staged as."""

    digest: Digest
    size: int
    data: bytes | None = None
    staged: Staged | None = None

    def discard(self) -> None:
        """Delete what was staged, unless it was published. Blocking."""
        if self.staged is not None:
            self.staged.discard()


def staged_member(blob: Staged) -> Member:
    """What was written down whole."""
    return Member(digest=blob.digest, size=blob.size, staged=blob)


@dataclass(slots=True)
class Members:
    """The archive by name. ``discard`` deletes what was staged and not published."""

    files: dict[str, Member] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Member | None:
        """The file of that name, through links."""
        at = _clean(name)
        for _ in range(LINKS_MAX):
            if at in self.files:
                return self.files[at]
            if at not in self.links:
                return None
            at = self.links[at]
        return None

    def get(self, name: str) -> Member:
        """The same. Raises InvalidArgument in Docker's words when there is none."""
        found = self.find(name)
        if found is None:
            raise InvalidArgument(f"open {_clean(name)}: no such file or directory")
        return found

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a file. Raises InvalidArgument when there is none or it is too large."""
        return read_member(self.get(name), limit, name)

    def discard(self) -> None:
        """Delete what was staged and not published."""
        for member in self.files.values():
            member.discard()


def read_member(member: Member, limit: int, name: str) -> bytes:
    """The bytes of a member. Raises InvalidArgument when it is larger than ``limit``."""
    if member.size > limit:
        raise InvalidArgument(f"{name}: {member.size} bytes are more than the limit of {limit}")
    if member.data is not None:
        return member.data
    assert member.staged is not None
    with member.staged.open() as file:
        return file.read()


def open_member(member: Member) -> BinaryIO:
    """The bytes of a member, to read."""
    if member.data is not None:
        return io.BytesIO(member.data)
    assert member.staged is not None
    return member.staged.open()


def tar_digest(tar: Unpacked) -> tuple[Digest, int]:
    """The digest and the bytes of what is left of ``tar``. Raises BadArchive."""
    digest, count = hashlib.sha256(), 0
    while data := tar.read(CHUNK):
        digest.update(data)
        count += len(data)
    return Digest(f"sha256:{digest.hexdigest()}"), count


def diff_id_of(member: Member) -> Digest:
    """The digest of what a layer unpacks to, packed or not. Raises BadArchive."""
    with open_member(member) as file:
        unpacked = Unpacked(file)
        return tar_digest(unpacked)[0] if unpacked.compression else member.digest


def reason_of(error: OSError) -> str:
    """Why the system refused, as Go says it."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def take_members(content: ContentStore, archive: Readable) -> Members:
    """Read an archive, packed or not, to its end. Raises BadArchive, Internal; then nothing is left behind."""
    members = Members()
    try:
        unpacked = Unpacked(archive)
        source = Source(unpacked.read)
        reader = TarReader(source)
        small = 0
        for entry in reader:
            name = os.fsdecode(clean_name(entry.name))
            if entry.kind == REGULAR:
                in_memory = entry.size <= SMALL and small + entry.size <= SMALL_TOTAL
                small += entry.size if in_memory else 0
                _put(members, name, _take(content, reader, entry, in_memory=in_memory))
            elif entry.kind in (LINK, SYMLINK):
                members.links[name] = _target(name, entry)
            _bound(members)
        source.drain()
    except BadArchive as error:
        members.discard()
        raise BadArchive(TAR_FAULT + error.message) from None
    except OSError as error:
        members.discard()
        raise Internal(f"{TAR_FAULT}write: {reason_of(error)}") from error
    except BaseException:
        members.discard()
        raise
    return members


def _bound(members: Members) -> None:
    if len(members.files) + len(members.links) > MEMBERS_MAX:
        raise BadArchive(f"more than {MEMBERS_MAX} members")


def _take(content: ContentStore, reader: TarReader, entry: Entry, *, in_memory: bool) -> Member:
    if entry.segments is not None:
        raise BadArchive("a sparse file in an image archive")
    if in_memory:
        data = reader.read(SMALL)
        return Member(digest=digest_of(data), size=len(data), data=data)
    return staged_member(content.take(reader.data()))


def _put(members: Members, name: str, member: Member) -> None:
    members.links.pop(name, None)
    before = members.files.get(name)
    if before is not None:
        before.discard()
    members.files[name] = member


def _target(name: str, entry: Entry) -> str:
    """The name that a link leads to: a symbolic one relative to its own directory, a hard one to the archive."""
    link = os.fsdecode(entry.link)
    return _clean(link if entry.kind == LINK else posixpath.join(posixpath.dirname(name), link))


def _clean(name: str) -> str:
    return os.fsdecode(clean_name(os.fsencode(name)))
