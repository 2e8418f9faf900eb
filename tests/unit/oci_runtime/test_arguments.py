from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.oci import app
from wherry.runtime.oci.arguments import Command, Flag, Options, duration, integer, parse, parse_settings
from wherry.runtime.oci.errors import UsageError
from wherry.runtime.oci.main import verb_of

FLAGS = (
    Flag("bundle, b", "a path"),
    Flag("detach, d", "go", "bool"),
    Flag("count", "many", "int"),
    Flag("env, e", "some", "strings"),
    Flag("gids, g", "some", "ints"),
    Flag("interval", "long", "duration", 5_000_000_000),
)


def _command(**further) -> Command:
    return Command("verb", lambda _: 0, usage="does", flags=FLAGS, **{"least": 0, "most": None, **further})


@pytest.mark.parametrize(
    ("line", "flags", "arguments"),
    [
        ("--bundle x id", {"bundle": "x"}, ["id"]),
        ("-bundle=x id", {"bundle": "x"}, ["id"]),
        ("--b=x=y id", {"bundle": "x=y"}, ["id"]),
        ("id -b x", {"bundle": "x"}, ["id"]),
        ("-d id", {"detach": True}, ["id"]),
        ("-d=false id", {"detach": False}, ["id"]),
        ("--detach=T id --count 0x10", {"detach": True, "count": 16}, ["id"]),
        ("-e A=1 --env B=2 id", {"env": ("A=1", "B=2")}, ["id"]),
        ("-g 1 -g -5 id", {"gids": (1, -5)}, ["id"]),
        ("--interval 1m30s", {"interval": 90_000_000_000}, []),
        ("-- -b x", {"bundle": ""}, ["-b", "x"]),
        ("id -- -b x", {"bundle": ""}, ["id", "-b", "x"]),
        ("id -9", {}, ["id", "-9"]),
        ("-", {}, ["-"]),
        ("-b -d", {"bundle": "-d", "detach": False}, []),
    ],
)
def test_flags_as_gos_library_reads_them(line, flags, arguments):
    options, rest = parse(_command(), line.split())
    assert rest == arguments
    for name, value in flags.items():
        assert options._values[name] == value


def test_a_foreign_command_line_is_left_alone():
    """``exec`` takes flags only in front of its arguments."""
    options, rest = parse(_command(in_order=True), ["-d", "id", "sh", "-b", "-x", "--", "y"])
    assert options.flag("detach")
    assert rest == ["id", "sh", "-b", "-x", "--", "y"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nonsense", "flag provided but not defined: -nonsense"),
        ("-x=1", "flag provided but not defined: -x"),
        ("--bundle", "flag needs an argument: -bundle"),
        ("--detach=maybe", 'invalid boolean value "maybe" for -detach: parse error'),
        ("--count many", 'invalid value "many" for flag -count: parse error'),
        ("--interval soon", 'invalid value "soon" for flag -interval: parse error'),
        ("---bundle x", "bad flag syntax: ---bundle"),
        ("--=x", "bad flag syntax: --=x"),
    ],
)
def test_what_makes_no_sense(line, words):
    with pytest.raises(UsageError) as caught:
        parse(_command(), line.split())
    assert str(caught.value) == words
    assert caught.value.shown == f"Incorrect Usage: {words}"


@pytest.mark.parametrize(
    ("least", "most", "count", "words"),
    [
        (1, 1, 0, 'wherry-oci: "verb" requires exactly 1 argument(s)'),
        (1, 1, 2, 'wherry-oci: "verb" requires exactly 1 argument(s)'),
        (1, None, 0, 'wherry-oci: "verb" requires a minimum of 1 argument(s)'),
        (1, 2, 3, 'wherry-oci: "verb" requires a maximum of 2 argument(s)'),
    ],
)
def test_how_many_arguments(least, most, count, words):
    with pytest.raises(UsageError) as caught:
        parse(_command(least=least, most=most), ["x"] * count)
    assert (str(caught.value), caught.value.shown) == (words, "Incorrect Usage.")


def test_help_needs_no_arguments():
    options, _ = parse(_command(least=1, most=1), ["--help"])
    assert options.flag("help")


def test_settings_end_at_the_verb():
    options, rest = parse_settings(FLAGS, ["--bundle", "x", "verb", "--detach"])
    assert options.text("bundle") == "x"
    assert rest == ["verb", "--detach"]
    assert options.given("bundle")
    assert not options.given("detach")


@given(st.text(alphabet="0123456789.-+nsuµmh ", max_size=12))
def test_durations_are_numbers_or_refused(text):
    with contextlib.suppress(ValueError):
        assert isinstance(duration(text), int)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_in_every_base(number):
    assert integer(str(number)) == number
    assert integer(hex(number)) == number
    assert integer(oct(number)) == number


@given(st.lists(st.text(alphabet="-=bdex1 ", max_size=6), max_size=8))
def test_any_line_is_parsed_or_refused(words):
    try:
        options, rest = parse(_command(), words)
    except UsageError:
        return
    assert isinstance(options, Options)
    assert all(isinstance(word, str) for word in rest)


@given(
    st.lists(st.sampled_from(["--debug", "--systemd-cgroup", "--root=/x", "--log-format=json", "-debug=false"])),
    st.lists(st.sampled_from([("--root", "/run"), ("--log", "run"), ("-criu", "create"), ("--rootless", "auto")])),
    st.sampled_from(["run", "create", "state"]),
)
def test_the_verb_is_found_before_anything_is_loaded(alone, pairs, verb):
    """Both stages must agree on it."""
    words = [*alone, *(word for pair in pairs for word in pair), verb, "--log", "x"]
    _, rest = parse_settings(app._flags(), words)
    assert verb_of(words) == rest[0] == verb
