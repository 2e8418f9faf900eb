"""Image configs: read typed, kept as bytes."""

from __future__ import annotations

import json

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import chain_ids, digest_of, parse_digest
from wherry.oci.image import amend, parse_image
from wherry.oci.index import choose
from wherry.oci.manifest import Descriptor, Platform, parse_manifest

DIFF = "sha256:" + "a" * 64


def test_the_id_is_the_digest_of_the_bytes_as_they_came() -> None:
    """Whitespace and unknown members count."""
    raw = b'{ "os":"linux","x-new":[1],"rootfs":{"type":"layers","diff_ids":["%s"]},"config":null}' % DIFF.encode()
    parsed = parse_image(raw)
    assert (parsed.raw, parsed.digest, parsed.chain) == (raw, digest_of(raw), (DIFF,))
    assert parsed.image.config is None


def test_amend_keeps_what_it_does_not_know() -> None:
    """A changed config still has the members of tomorrow, to the last digit."""
    amended = json.loads(amend(b'{"rootfs":{},"x-new":{"n":1.50}, "author":"a"}', {"author": "b"}))
    assert amended == {"author": "b", "rootfs": {}, "x-new": {"n": 1.5}}


@pytest.mark.parametrize("raw", [b"", b"xx", b"[]", b"{}", b'{"rootfs":{"diff_ids":["../x"]}}', b'{"config":3}'])
def test_what_is_no_config_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidArgument, match="invalid image JSON"):
        parse_image(raw)


def test_chain_ids_follow_the_image_spec() -> None:
    """The chain id of two layers is the digest of both, with a space between."""
    other = "sha256:" + "b" * 64
    assert chain_ids([DIFF, other]) == [DIFF, digest_of(f"{DIFF} {other}".encode())]
    assert chain_ids([]) == []


@pytest.mark.parametrize("text", ["", "sha256", "sha256:", "sha256:xyz", "sha256:" + "A" * 64, "md5:" + "a" * 32])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_digest(text)


def test_the_manifest_of_this_platform_is_chosen() -> None:
    """Attestations are no images; one image without a platform is taken for ours."""

    def one(architecture: str, **annotations: str) -> Descriptor:
        return Descriptor(
            digest=architecture, annotations=annotations, platform=Platform(os="linux", architecture=architecture)
        )

    attestation = Descriptor(digest="x", annotations={"vnd.docker.reference.type": "attestation-manifest"})
    wanted = Platform(os="linux", architecture="arm64")
    assert choose([attestation, one("amd64"), one("arm64")], wanted) == one("arm64")
    assert choose([one("amd64"), one("riscv64")], wanted) is None
    assert choose([attestation, one("amd64")], wanted) == one("amd64")
    assert choose([attestation], wanted) is None


def test_a_manifest_names_only_digests() -> None:
    with pytest.raises(InvalidArgument):
        parse_manifest(b'{"schemaVersion":2,"config":{"digest":"../../etc/passwd"},"layers":[]}')
    with pytest.raises(InvalidArgument, match="schema version 1"):
        parse_manifest(b'{"schemaVersion":1,"config":{},"layers":[]}')
