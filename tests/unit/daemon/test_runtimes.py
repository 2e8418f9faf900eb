"""``--add-runtime`` and the configuration file's ``runtimes``."""

from __future__ import annotations

import json

import pytest

from wherry.daemon.config import load
from wherry.daemon.runtimes import merge
from wherry.lib.errors import InvalidArgument
from wherry.runtime.foreign_registry import Known


def test_flags_and_file_add_up(tmp_path):
    """The one setting that may be in both."""
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"runtimes": {"nv": {"path": "/usr/bin/nv", "runtimeArgs": ["--a", "b"]}}}))
    config = load(["--config-file", str(file), "--add-runtime", "Crun2 = /opt/crun", "--default-runtime", "nv"])
    assert config.runtimes == {"crun2": Known("/opt/crun"), "nv": Known("/usr/bin/nv", ("--a", "b"))}
    assert config.default_runtime == "nv"


def test_containerds_shim_for_runc_with_a_program_of_its_own():
    entry = {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": "/opt/runc"}}
    assert merge([], {"x": entry}) == {"x": Known("/opt/runc")}


@pytest.mark.parametrize(
    ("flags", "file", "words"),
    [
        (["x"], {}, "invalid runtime argument: x"),
        (["=p"], {}, "invalid runtime argument: =p"),
        (["x=a", "x=b"], {}, "runtime 'x' was already defined"),
        (["x=a"], {"x": {"path": "b"}}, "runtime 'x' was already defined"),
        (["wherry=a"], {}, "runtime name 'wherry' is reserved"),
        ([], {"x": {}}, "runtime x: either a runtimeType or a path must be configured"),
        ([], {"x": {"path": "a", "runtimeArgs": "b"}}, "runtime x: runtimeArgs must be a list of strings"),
        ([], {"x": {"path": "a", "arguments": []}}, "invalid runtime 'x': unknown field 'arguments'"),
        ([], {"x": {"runtimeType": "io.containerd.kata.v2"}}, "runtime x: runtimeType 'io.containerd.kata.v2' is not"),
        ([], {"x": "a"}, "invalid runtime 'x': expected an object"),
        ([], ["x"], "invalid value for runtimes: "),
    ],
)
def test_what_makes_no_sense_is_refused(flags, file, words):
    with pytest.raises(InvalidArgument) as refused:
        merge(flags, file)
    assert refused.value.message.startswith(words)
