"""Log drivers and options: Docker's words, and a bound for every log."""

from __future__ import annotations

import pytest

from wherry.lib.errors import Internal, InvalidArgument, NotBuilt
from wherry.logs.options import LogOptions, check_readable, effective, json_file_options, validate
from wherry.logs.size import human_size, ram_size
from wherry.logs.tag import LogInfo
from wherry.wire.hostconfig import LogConfig

INFO = LogInfo(
    id="0123456789abcdef", name="web", labels={"tier": "front", "x.y": "z"}, env=("A=1", "B=2", "C"), image_name="img:1"
)


@pytest.mark.parametrize(
    ("driver", "options", "words"),
    [
        ("foo", {}, 'error looking up logging plugin foo: plugin "foo" not found'),
        ("json-file", {"foo": "bar"}, "unknown log opt 'foo' for json-file log driver"),
        ("json-file", {"mode": "x"}, "logger: logging mode not supported: x"),
        (
            "json-file",
            {"max-buffer-size": "1m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "json-file",
            {"mode": "non-blocking", "max-buffer-size": "zz"},
            "error parsing option max-buffer-size: invalid size: 'zz'",
        ),
    ],
)
def test_refused_at_create(driver, options, words):
    """Unknown drivers, options and modes are refused when the container is made."""
    with pytest.raises(InvalidArgument) as error:
        validate(driver, options)
    assert error.value.message == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max-size": "0"}, "max-size must be a positive number"),
        ({"max-size": "x"}, "invalid size: 'x'"),
        ({"max-size": "10x"}, "invalid suffix: 'x'"),
        ({"max-file": "0"}, "max-file cannot be less than 1"),
        ({"max-file": "a"}, 'strconv.Atoi: parsing "a": invalid syntax'),
        ({"compress": "maybe"}, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ({"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"),
        (
            {"compress": "true", "max-size": "1m"},
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        ({"tag": "{{.Foo"}, "template: log-tag:1: unclosed action"),
    ],
)
def test_refused_at_start(options, words):
    """Values are looked at when the container starts, with dockerd's words and status 500."""
    validate("json-file", options)
    with pytest.raises(Internal) as error:
        json_file_options(options, INFO)
    assert error.value.message == f"failed to initialize logging driver: {words}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, LogOptions(max_size=20_000_000, max_files=5)),
        ({"max-size": "10m"}, LogOptions(max_size=10_000_000, max_files=1)),
        (
            {"max-size": "1k", "max-file": "3", "compress": "true"},
            LogOptions(max_size=1000, max_files=3, compress=True),
        ),
        ({"max-file": "2"}, LogOptions(max_size=20_000_000, max_files=2)),
        ({"max-size": "-1"}, LogOptions(max_size=-1, max_files=1)),
        ({"labels": "tier,none", "env": "B,C"}, LogOptions(attrs={"tier": "front", "B": "2"})),
        ({"labels-regex": r"^x\.", "env-regex": "A"}, LogOptions(attrs={"x.y": "z", "A": "1"})),
        ({"tag": "{{.Name}}/{{ .ID }}"}, LogOptions(attrs={"tag": "web/0123456789ab"})),
        ({"mode": "non-blocking", "max-buffer-size": "4m"}, LogOptions()),
    ],
)
def test_options(options, expected):
    """Every log is bounded unless it was asked not to be."""
    validate("json-file", options)
    assert json_file_options(options, INFO) == expected


def test_effective_merges_the_daemons_options():
    """The daemon's options hold for containers of the same driver only."""
    default = LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"})
    assert effective(LogConfig(), default).config == {"max-size": "1m", "max-file": "2"}
    assert effective(LogConfig(config={"max-size": "5m"}), default).config == {"max-size": "5m", "max-file": "2"}
    assert effective(LogConfig(type="none"), default) == LogConfig(type="none", config={})
    assert effective(LogConfig(), LogConfig()) == LogConfig(type="json-file", config={})


def test_reading_from_none():
    """``docker logs`` of a container without a log."""
    check_readable("json-file")
    with pytest.raises(NotBuilt, match="configured logging driver does not support reading"):
        check_readable("none")


@pytest.mark.parametrize(
    ("text", "decimal", "binary"),
    [
        ("32", 32, 32),
        ("32b", 32, 32),
        ("32 kB", 32_000, 32_768),
        ("1.5m", 1_500_000, 1_572_864),
        ("2GiB", 2_000_000_000, 2 << 30),
        (".5k", 500, 512),
    ],
)
def test_sizes(text, decimal, binary):
    """Both readings of a size."""
    assert human_size(text) == decimal
    assert ram_size(text) == binary


@pytest.mark.parametrize("text", ["", "m", "-1", "1mm", "1bb", "1 2", "1.2.3", "ab12k"])
def test_bad_sizes(text):
    """What go-units refuses."""
    with pytest.raises(ValueError, match="invalid"):
        human_size(text)
