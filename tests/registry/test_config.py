"""Settings: a file's keys, environment variables above them, flags above both."""

from __future__ import annotations

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.registry.config import Settings, load

FILE = """
version: 0.1
log: {level: debug, fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /data, maxthreads: 100}
  delete: {enabled: true}
  maintenance: {uploadpurging: {age: 1h, interval: 5m, dryrun: true}}
http:
  addr: :5001
  headers: {X-Content-Type-Options: [nosniff]}
notifications: {endpoints: [{name: one, url: http://a}]}
"""


def test_file() -> None:
    """The keys of Docker's registry."""
    settings = load(FILE, {})
    assert (settings.storage, settings.storage_options["rootdirectory"], settings.delete) == (
        "filesystem",
        "/data",
        True,
    )
    assert (settings.address, settings.headers) == (":5001", {"X-Content-Type-Options": "nosniff"})
    assert (settings.purging.age, settings.purging.interval, settings.purging.dry) == (3600.0, 300.0, True)
    assert (settings.log_level, settings.log_fields) == ("debug", {"service": "registry"})


def test_defaults() -> None:
    """Without a file: the directory and the port of Docker's image, and deletion off."""
    settings = load("", {})
    assert settings == Settings()
    assert (settings.storage_options["rootdirectory"], settings.address, settings.delete) == (
        "/var/lib/registry",
        ":5000",
        False,
    )


def test_environment() -> None:
    """Each part of a variable's name is a key or an index; what names no section is somebody else's."""
    settings = load(
        FILE,
        {
            "REGISTRY_HTTP_ADDR": ":6000",
            "REGISTRY_STORAGE_DELETE_ENABLED": "false",
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/other",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL": "http://b",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_1_URL": "http://c",
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "here",
            "REGISTRY_HTTP_HEADERS": "{X-A: [b]}",
            "REGISTRY_PORT_5000_TCP": "tcp://172.17.0.2:5000",
            "REGISTRY_PORT": "tcp://172.17.0.2:5000",
        },
    )
    assert (settings.address, settings.delete, settings.storage_options["rootdirectory"]) == (":6000", False, "/other")
    assert settings.notifications["endpoints"] == [{"name": "one", "url": "http://b"}, {"url": "http://c"}]
    assert settings.auth == {"htpasswd": {"realm": "here"}}
    assert settings.headers == {"X-A": "b"}


def test_storage_by_environment() -> None:
    """``REGISTRY_STORAGE`` takes the place of the file's driver."""
    settings = load(FILE, {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_BUCKET": "b"})
    assert (settings.storage, settings.storage_options, settings.delete) == ("s3", {"bucket": "b"}, True)


def test_flags_go_before_all() -> None:
    """An override is set last."""
    assert load(FILE, {"REGISTRY_HTTP_ADDR": ":6000"}, {"http.addr": ":7000"}).address == ":7000"


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "storage: {delete: {enabled: perhaps}}",
        "http: [a]",
        "http: {draintimeout: soon}",
        "storage: {maintenance: {uploadpurging: {age: 1 day}}}",
        'http: {headers: {A: "b\\nc"}}',
        "catalog: {maxentries: 0}",
        "validation: {manifests: {urls: {allow: ['(']}}}",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    """With the key's name."""
    with pytest.raises(InvalidArgument, match="configuration"):
        load(text, {})
