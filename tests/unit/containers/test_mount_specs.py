"""What the user wrote about mounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.engine.containers.mount_specs import collect, parse_bind, parse_mount
from wherry.lib.errors import InvalidArgument
from wherry.wire.container import ContainerConfig, HostConfig, Mount


def none(_key):
    return []


def test_a_source_with_a_slash_is_a_host_path():
    mount = parse_bind("/srv:/data:ro")
    assert (mount.type, mount.source, mount.destination, mount.writable) == ("bind", "/srv", "/data", False)
    assert mount.create_source


def test_a_source_without_one_is_a_volume():
    mount = parse_bind("data:/data")
    assert (mount.type, mount.volume, mount.anonymous) == ("volume", "data", False)


def test_a_destination_alone_is_an_anonymous_volume():
    assert parse_bind("/data").anonymous


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
        ("/a:/", "invalid specification: destination can't be '/'"),
        ("/a:/b:foo", "invalid mode: foo"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
        ("", "invalid volume specification: ''"),
    ],
)
def test_nonsense_is_refused_in_dockers_words(spec, words):
    with pytest.raises(InvalidArgument, match=words.replace("'", ".")):
        parse_bind(spec)


def test_the_same_destination_twice_is_refused():
    host = HostConfig(binds=["/a:/data", "/b:/data/"])
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /data"):
        collect(ContainerConfig(), host, none)


def test_what_the_user_mounts_hides_the_images_volume():
    mounts = collect(ContainerConfig(volumes={"/data": {}, "/more": {}}), HostConfig(binds=["/a:/data"]), none)
    assert [(mount.type, mount.destination) for mount in mounts] == [("bind", "/data"), ("volume", "/more")]


def test_an_unknown_mount_type_is_refused():
    with pytest.raises(InvalidArgument, match='invalid mount config for type "foo": mount type unknown'):
        parse_mount(Mount(type="foo", target="/x"))


@given(st.text(alphabet=":/abro,zZ.", max_size=12))
def test_any_text_is_parsed_or_refused(text):
    """No text crashes the parser, and what it accepts has an absolute destination that is not the root."""
    try:
        mount = parse_bind(text)
    except InvalidArgument:
        return
    assert mount.destination.startswith("/")
    assert mount.destination != "/"
