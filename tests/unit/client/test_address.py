"""Docker's host strings."""

from __future__ import annotations

import pytest

from wherry.client.address import default_host, parse_host
from wherry.client.errors import InvalidHost


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:///a/b", "unix:///a/b"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("tcp://1.2.3.4:99", "tcp://1.2.3.4:99"),
        ("tcp://", "tcp://localhost:2375"),
        ("host", "tcp://host:2375"),
        (":80", "tcp://localhost:80"),
        ("tcp://[::1]:80", "tcp://[::1]:80"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
    ],
)
def test_addresses_are_completed(text, shown):
    assert parse_host(text).text == shown


@pytest.mark.parametrize("text", ["foo://x", "tcp://a:b", "tcp://a:99999", "ssh://x", "unix://a://b", "tcp://tcp://x"])
def test_nonsense_is_refused(text):
    with pytest.raises(InvalidHost):
        parse_host(text)


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://x")
    assert default_host() == "tcp://x"
    monkeypatch.delenv("DOCKER_HOST")
    assert default_host().startswith("unix:///")
