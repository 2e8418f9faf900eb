"""Platforms are read as docker reads them: names of old, variants that go without saying, words that are none."""

from __future__ import annotations

import json
import os

import pytest

from wherry.cli.errors import CliError
from wherry.cli.platforms import as_json, parse, shown

OWN = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux", f"linux/{OWN}"),
        ("amd64", "linux/amd64"),
        ("arm", "linux/arm"),
        ("wasm", "linux/wasm"),
        ("LINUX/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/i386", "linux/386"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_reads(text: str, platform: str) -> None:
    found = parse(text)
    assert shown(found) == platform
    assert json.loads(as_json(text)) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is an invalid component"),
        ("linux/", '"" is an invalid component of "linux/"'),
        ("linux/a b", '"a b" is an invalid component of "linux/a b"'),
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier'),
        ("nothing", '"nothing": unknown operating system or architecture'),
    ],
)
def test_refuses(text: str, why: str) -> None:
    with pytest.raises(CliError) as refused:
        as_json(text)
    assert str(refused.value).startswith("invalid platform: ")
    assert why in str(refused.value)
