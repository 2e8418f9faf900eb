"""Readers of option values: never anything but a value or a ValueError."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli import reference, values
from wherry.cli.endpoints import parse_network
from wherry.cli.mounts import parse_mount, split_volumes
from wherry.cli.ports import parse_ports
from wherry.cli.terminal import parse_keys
from wherry.cli.timestamps import timestamp

READERS = [
    values.ram, values.swap, values.uint16, values.uint64, values.duration, values.cpus, values.env, values.label,
    values.ip_address, values.mac_address, values.dns_search, values.extra_host, values.link, values.sysctl,
    values.attach, values.cgroup_rule, values.weight_device, values.rate_device, values.iops_device, values.ulimit,
    values.fields, values.boolean, values.gpus, parse_mount, parse_network, reference.parse, timestamp, parse_keys,
    lambda text: parse_ports([text]), lambda text: split_volumes([text]),
]  # fmt: skip
WORDS = st.lists(
    st.sampled_from(
        [
            "type=",
            "bind",
            "volume",
            "src=/a",
            "dst=",
            "/b",
            ",",
            "=",
            ":",
            "name=",
            "ip=",
            "1",
            "-",
            ".",
            "/",
            "tcp",
            "80",
            '"',
            "h",
        ]
    )
).map("".join)


@given(st.sampled_from(READERS), WORDS | st.text())
def test_a_reader_gives_a_value_or_refuses(reader, text):
    with suppress(ValueError):
        reader(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1h30m", 5400 * 10**9),
        ("1.5s", 15 * 10**8),
        ("-10ms", -(10**7)),
        ("0", 0),
        ("2us", 2000),
        (".5h", 1800 * 10**9),
    ],
)
def test_durations(text, value):
    assert values.duration(text) == value


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "familiar"),
    [
        ("busybox", "docker.io", "library/busybox", "", "busybox"),
        ("busybox:1", "docker.io", "library/busybox", "1", "busybox"),
        ("a/b", "docker.io", "a/b", "", "a/b"),
        ("docker.io/library/x", "docker.io", "library/x", "", "x"),
        ("index.docker.io/x", "docker.io", "library/x", "", "x"),
        ("localhost/x:t", "localhost", "x", "t", "localhost/x"),
        ("reg:5000/a/b:t", "reg:5000", "a/b", "t", "reg:5000/a/b"),
        ("a.b/c", "a.b", "c", "", "a.b/c"),
    ],
)
def test_image_names(text, domain, path, tag, familiar):
    named = reference.parse(text)
    assert (named.domain, named.path, named.tag, named.familiar_name) == (domain, path, tag, familiar)


@pytest.mark.parametrize("text", ["", ":a", "a:", "UP", "a//b", "-a", "a_-b", "a@sha256:1", "a..b", "a b", "0" * 64])
def test_bad_image_names(text):
    with pytest.raises(ValueError, match="inval"):
        reference.parse(text)


def test_moments(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert timestamp("10m", now=1000.0) == "400"
    assert timestamp("2013-01-02T13:23:37Z") == "1357133017.000000000"
    assert timestamp("2013-01-02T13:23:37.5+01:00") == "1357129417.500000000"
    assert timestamp("2013-01-02") == "1357084800.000000000"
    assert timestamp("1357133017.25") == "1357133017.25"
    assert timestamp("0") == "0"


def test_quoted_fields_hold_commas():
    assert values.fields('a,"b,""c""",d') == ["a", 'b,"c"', "d"]


def test_keys():
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_keys("a,ctrl-@,ctrl-[") == b"a\x00\x1b"
