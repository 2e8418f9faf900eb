"""What others read of us: JSON, log lines, tables, and the words about a file that is not JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.oci import exec_process, gojson, json_errors, signal_names, update, usage
from wherry.runtime.oci.arguments import Options
from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.report import _value, quote
from wherry.runtime.oci.table import table

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["", "  ", "\t"]))
def test_json_is_json(value, indent):
    assert json.loads(gojson.encode(value, indent)) == value


def test_json_as_go_lays_it_out():
    value = {"a": [], "b": {}, "c": [1, "<&>"], "d": {"e": None}}
    assert gojson.encode(value) == '{"a":[],"b":{},"c":[1,"\\u003c\\u0026\\u003e"],"d":{"e":null}}'
    assert gojson.encode({"a": [1], "b": {}}, "  ") == '{\n  "a": [\n    1\n  ],\n  "b": {}\n}'


@given(st.text())
def test_whatever_is_logged_is_one_line(text):
    assert "\n" not in quote(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ('say "x"\n', '"say \\"x\\"\\n"'),
        ("\x01", '"\\x01"'),
    ],
)
def test_log_values_as_logrus_quotes_them(text, written):
    assert _value(text) == written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "EOF"),
        ("{", "unexpected EOF"),
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 2}', "invalid character '2' after object key:value pair"),
        ('{"a": 1,}', "invalid character '}' looking for beginning of object key string"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a": tru}', "invalid character '}' in literal true (expecting 'e')"),
        ('{"a": "\n"}', "invalid character '\\n' in string literal"),
        ('{"a": "\\x"}', "invalid character 'x' in string escape code"),
        ('{"a": "\\u12g4"}', "invalid character 'g' in \\u hexadecimal character escape"),
        ('{"a": 01}', "invalid character '1' after object key:value pair"),
        ('{"a": -x}', "invalid character 'x' in numeric literal"),
        ('{"a": 1.x}', "invalid character 'x' after decimal point in numeric literal"),
        ('{"a": 1ex}', "invalid character 'x' in exponent of numeric literal"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("'", "invalid character '\\'' looking for beginning of value"),
    ],
)
def test_what_go_says_of_a_bad_file(text, words):
    assert json_errors.explain(text.encode()) == words


@given(st.binary(max_size=40))
def test_any_bad_file_is_explained(data):
    assert json_errors.explain(data)


def test_tables():
    assert table([("ID", "PID", "WHAT"), ("x" * 12, "1", "y")]) == (
        "ID             PID         WHAT\nxxxxxxxxxxxx   1           y\n"
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("sigkill", 9), ("SIGTERM", 15), ("-1", -1), ("999", 999), ("usr1", 10), ("rtmin", 34)],
)
def test_signals(text, number):
    assert signal_names.parse(text) == number


@pytest.mark.parametrize("text", ["", "NONSENSE", "SIG", "SIG_DFL", "1x", "_IGN", "_BLOCK"])
def test_no_signals(text):
    with pytest.raises(Failure, match="unknown signal"):
        signal_names.parse(text)


def _options(command, **given):
    options = Options(command.flags)
    flags = {flag.names[0]: flag for flag in command.flags}
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            options.put(flags[name.replace("_", "-")], value)
    return options


def test_updates_name_only_what_changes():
    options = _options(update.COMMAND, cpu_share="512", memory="1.5g", memory_swap="-1", cpuset_cpus="0-1")
    assert update.only_changes(update.of_flags(options)) == {
        "cpu": {"shares": 512, "cpus": "0-1"},
        "memory": {"limit": 1610612736, "swap": -1},
    }
    given = {
        "memory": {"limit": 0, "swappiness": 5},
        "devices": [],
        "unified": {"memory.high": "1"},
        "cpu": {"idle": 1},
    }
    assert update.only_changes(given) == {"unified": {"memory.high": "1"}, "cpu": {"idle": 1}}


def test_quota_and_period_are_one_limit():
    now = {"cpu": {"quota": 50000, "period": 100000, "shares": 2}}
    assert update.complete({"cpu": {"quota": 20000}}, now) == {"cpu": {"quota": 20000, "period": 100000}}
    assert update.complete({"cpu": {"period": 50000}}, now) == {"cpu": {"period": 50000, "quota": 50000}}
    assert update.complete({"cpu": {"shares": 3}}, now) == {"cpu": {"shares": 3}}
    assert update.merge(now, {"cpu": {"quota": 1}, "pids": {"limit": 2}}) == {
        "cpu": {"quota": 1, "period": 100000, "shares": 2},
        "pids": {"limit": 2},
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [("1024", 1024), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024), ("1.5m", 1572864), ("2 g", 2 << 30)],
)
def test_sizes(text, number):
    assert update.size("memory", text) == number


@pytest.mark.parametrize("text", ["", "k", "1x", "1.", ".5m", "1..2", "-5", "1 kx", "0x10"])
def test_no_sizes(text):
    with pytest.raises(Failure, match="invalid value for memory: invalid size"):
        update.size("memory", text)


def test_ranges_of_processors():
    assert usage._numbers("0-2,7\n") == [0, 1, 2, 7]
    assert usage._numbers("\n") == []


def test_the_process_of_an_exec():
    """The container's, changed; the container's own stays as it is."""
    from wherry.runtime.oci.exec import COMMAND

    base = {
        "args": ["init"],
        "terminal": True,
        "cwd": "/",
        "env": ["A=1"],
        "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
        "capabilities": {"bounding": ["CAP_KILL"]},
        "noNewPrivileges": True,
    }
    options = _options(
        COMMAND, env=["B=2"], user="5:6", additional_gids=["7"], cap="CAP_CHOWN", cwd="/x", no_new_privs="false"
    )
    process = exec_process.of_flags(base, options, ["true"])
    assert process == {
        "args": ["true"],
        "terminal": False,
        "cwd": "/x",
        "env": ["A=1", "B=2"],
        "user": {"uid": 5, "gid": 6, "additionalGids": [3, 7]},
        "capabilities": {
            "bounding": ["CAP_KILL", "CAP_CHOWN"],
            **{name: ["CAP_CHOWN"] for name in ("effective", "permitted", "ambient")},
        },
        "noNewPrivileges": False,
    }
    assert base["user"] == {"uid": 1, "gid": 2, "additionalGids": [3]}
    assert exec_process.of_flags(base, _options(COMMAND), ["x"])["noNewPrivileges"] is True
