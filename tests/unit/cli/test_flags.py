"""Command lines by pflag's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli.flags import Command, FlagError, HelpWanted, Option, UsageError, integer, parse

OPTIONS = (
    Option("all", "a", "bool"),
    Option("interactive", "i", "bool"),
    Option("tty", "t", "bool"),
    Option("last", "n", "int", default=-1),
    Option("name", "", "string"),
    Option("env", "e", "list"),
    Option("alias", "", "strings"),
    Option("label", "l", "map"),
    Option("filter", "f", "filter"),
    Option("old", "", "string", target="name", note="use --name instead"),
)


def read(*argv, interspersed=True):
    return parse(OPTIONS, argv, interspersed=interspersed)


@pytest.mark.parametrize(
    ("argv", "values", "args"),
    [
        (["-it", "x"], {"interactive": True, "tty": True}, ["x"]),
        (["-n5"], {"last": 5}, []),
        (["-n=5"], {"last": 5}, []),
        (["-n", "5", "y"], {"last": 5}, ["y"]),
        (["-itn", "5"], {"interactive": True, "last": 5}, []),
        (["--name", "x", "--name=y"], {"name": "y"}, []),
        (["--name="], {"name": ""}, []),
        (["--all=false", "--tty=1"], {"all": False, "tty": True}, []),
        (["-e", "a", "-eb", "--env=c"], {"env": ["a", "b", "c"]}, []),
        (["--alias", "a,b", "--alias=c"], {"alias": ["a", "b", "c"]}, []),
        (["-l", "a=b", "-l", "c"], {"label": {"a": "b", "c": ""}}, []),
        (["-f", "A = b", "-f", "a=c"], {"filter": {"a": {"b": True, "c": True}}}, []),
        (["x", "-a", "--", "-i"], {"all": True, "interactive": False}, ["x", "-i"]),
        (["-"], {}, ["-"]),
        (["--old", "z"], {"name": "z"}, []),
        ([], {"last": -1, "env": [], "label": {}}, []),
    ],
)
def test_reads(argv, values, args):
    parsed = read(*argv)
    assert {name: parsed[name] for name in values} == values
    assert parsed.args == args


def test_defaults_are_not_shared():
    read("-e", "a", "-l", "a=b", "-f", "a=b")
    assert read()["env"] == []
    assert read()["label"] == {}
    assert read()["filter"] == {}


def test_stops_at_the_first_argument_if_asked():
    parsed = read("-a", "image", "-i", "--name", interspersed=False)
    assert parsed.args == ["image", "-i", "--name"]
    assert not parsed["interactive"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-az"], "unknown shorthand flag: 'z' in -z"),
        (["--name"], "flag needs an argument: --name"),
        (["-n"], "flag needs an argument: 'n' in -n"),
        (["---x"], "bad flag syntax: ---x"),
        (["-n", "x"], 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["--all=x"], 'invalid argument "x" for "-a, --all" flag: strconv.ParseBool: parsing "x": invalid syntax'),
        (["-f", "x"], 'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)'),
    ],
)
def test_refuses(argv, message):
    with pytest.raises(FlagError) as caught:
        read(*argv)
    assert str(caught.value) == message


@pytest.mark.parametrize(("word", "deprecated"), [("--help", False), ("-h", True)])
def test_help_comes_after_what_is_wrong(word, deprecated):
    with pytest.raises(HelpWanted) as caught:
        read(word, "x")
    assert caught.value.deprecated == deprecated
    with pytest.raises(FlagError):
        read(word, "--nope")


@given(st.lists(st.text(max_size=8) | st.sampled_from(["-a", "-n", "--name", "-e", "--", "-f", "--all=", "-n=3"])))
def test_any_words_are_read_or_refused(argv):
    try:
        read(*argv)
    except (FlagError, HelpWanted):
        return


@pytest.mark.parametrize(
    ("minimum", "maximum", "count", "words"),
    [
        (1, None, 0, "requires at least 1 argument\n"),
        (2, None, 1, "requires at least 2 arguments\n"),
        (1, 1, 2, "requires 1 argument\n"),
        (0, 0, 1, "accepts no arguments\n"),
        (0, 1, 2, "requires at most 1 argument\n"),
        (1, 2, 3, "requires at least 1 and at most 2 arguments\n"),
    ],
)
def test_counts_arguments(minimum, maximum, count, words):
    command = Command(lambda _app, _parsed: 0, usage="X", short="", minimum=minimum, maximum=maximum)
    with pytest.raises(UsageError) as caught:
        command.check_arguments("wherry x", count)
    assert f"wherry: 'wherry x' {words}\nUsage:  wherry x X\n" in str(caught.value)
    command.check_arguments("wherry x", minimum)


@pytest.mark.parametrize(("text", "value"), [("0x10", 16), ("-5", -5), ("010", 8), ("0b11", 3), ("+7", 7), ("0", 0)])
def test_integers_as_go_reads_them(text, value):
    assert integer(text) == value


@pytest.mark.parametrize("text", ["", "x", "1.5", "--1", " 1", "9223372036854775808", "08"])
def test_other_numbers_are_refused(text):
    with pytest.raises(ValueError, match=r"strconv\.ParseInt: parsing "):
        integer(text)
