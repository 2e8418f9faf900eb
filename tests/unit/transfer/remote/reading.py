"""Blobs in the tests of the registry client."""

from __future__ import annotations

from wherry.oci.manifest import Descriptor
from wherry.oci.reference import parse_reference


def name_at(registry, path="team/app", tag="latest"):
    return parse_reference(f"{registry.host}/{path}:{tag}")


def descriptor_of(registry, data):
    return Descriptor(digest=registry.add_blob(data), size=len(data))


def read_all(blob):
    data, buffer = bytearray(), memoryview(bytearray(64 * 1024))
    with blob:
        while count := blob.readinto(buffer):
            data += buffer[:count]
    return bytes(data)
