"""Image names mean what Docker takes them to mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import Digest
from wherry.oci.reference import Reference, parse_any, parse_reference

HEX = "12381436d398ee80f6ed2ea17e9b08f84163fa4213d1b14b5aa6b3e3b62cdf18"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        ("[fd00::1]:5000/a", "[fd00::1]:5000/a:latest", "[fd00::1]:5000/a:latest"),
        ("reg.example.com/a__b--c.d", "reg.example.com/a__b--c.d:latest", "reg.example.com/a__b--c.d:latest"),
        (f"busybox@sha256:{HEX}", f"docker.io/library/busybox@sha256:{HEX}", f"busybox@sha256:{HEX}"),
    ],
)
def test_names_are_normalized(text: str, canonical: str, familiar: str) -> None:
    """A short name gets the default domain, library/ and latest; it is shown short again."""
    reference = parse_reference(text).tagged()
    assert (str(reference), reference.familiar) == (canonical, familiar)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a:b c", "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("ä", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("UPPER", "invalid reference format: repository name must be lowercase"),
        ("reg.io/Upper:x", "invalid reference format: repository name must be lowercase"),
        (f"a@sha256:{HEX[:40]}", "invalid checksum digest length"),
        (f"a@md5:{HEX[:32]}", "unsupported digest algorithm"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_what_is_no_name_is_refused_in_dockers_words(text: str, words: str) -> None:
    """The message is dockerd's own."""
    with pytest.raises(InvalidArgument) as caught:
        parse_reference(text)
    assert caught.value.message == words


def test_a_full_id_is_no_name() -> None:
    """64 digits, with or without the algorithm, are an id."""
    assert parse_any(HEX) == parse_any(f"sha256:{HEX}") == Digest(f"sha256:{HEX}")
    assert isinstance(parse_any("sha256:12"), Reference)


COMPONENT = st.from_regex(r"[a-z0-9]{1,8}([._]|__|-{1,3})?[a-z0-9]{1,8}", fullmatch=True)
DOMAIN = st.sampled_from(["", "localhost/", "reg.io/", "reg.io:5000/", "[::1]:80/", "Reg.IO/"])
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(DOMAIN, st.lists(COMPONENT, min_size=1, max_size=3), TAG)
def test_every_form_of_a_name_means_the_same(domain: str, parts: list[str], tag: str) -> None:
    """Canonical and familiar forms parse back to the same reference."""
    reference = parse_reference(f"{domain}{'/'.join(parts)}:{tag}")
    assert parse_reference(str(reference)) == reference == parse_reference(reference.familiar)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """No other exception, and what is accepted is a fixed point."""
    try:
        reference = parse_reference(text)
    except InvalidArgument:
        return
    assert parse_reference(str(reference)) == reference
