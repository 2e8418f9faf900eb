"""wherryd's settings: flags, daemon.json, and the two together."""

from __future__ import annotations

import json

import pytest

from wherry.daemon.config import load
from wherry.lib.errors import InvalidArgument


@pytest.fixture
def file(tmp_path):
    def write(**settings):
        path = tmp_path / "daemon.json"
        path.write_text(json.dumps(settings))
        return ["--config-file", str(path)]

    return write


def test_roots_decide_where_the_rest_is(file, tmp_path):
    config = load([*file(), "--exec-root", str(tmp_path)])
    assert config.hosts == (f"unix://{tmp_path}/docker.sock",)
    assert config.pidfile == tmp_path / "wherryd.pid"


def test_the_file_has_dockerds_keys(file):
    config = load(file(hosts=["unix:///x"], **{"log-level": "warn", "data-root": "/d", "log-opts": {"max-size": "1k"}}))
    assert (config.hosts, config.log_level, str(config.data_root)) == (("unix:///x",), "warn", "/d")
    assert config.log_opts == {"max-size": "1k"}


def test_a_setting_comes_from_one_place(file):
    with pytest.raises(InvalidArgument, match="specified both as a flag and in the configuration file: bip"):
        load([*file(bip="10.1.0.1/24"), "--bip", "10.2.0.1/24"])


def test_an_unknown_key_is_refused(file):
    with pytest.raises(InvalidArgument, match="don't match any configuration option: colour"):
        load(file(colour="blue"))


@pytest.mark.parametrize("settings", [{"debug": "yes"}, {"hosts": "unix:///x"}, {"mtu": "9000"}])
def test_a_value_of_the_wrong_type_is_refused(file, settings):
    with pytest.raises(InvalidArgument, match="invalid value for"):
        load(file(**settings))


@pytest.mark.parametrize("flags", [["--bip", "nonsense"], ["--name", "Bad Name"], ["--storage-driver", "zfs"]])
def test_a_value_that_cannot_be_is_refused(file, flags):
    with pytest.raises(InvalidArgument):
        load([*file(), *flags])


def test_defaults_of_containers(file):
    """By flag and by file, sizes and limits as dockerd writes them."""
    flags = ["--default-shm-size", "1g", "--default-ulimit", "nofile=10:20", "--default-ulimit", "core=-1", "--init"]
    config = load([*file(), *flags, "--cdi-spec-dir", "/a", "--default-ipc-mode", "shareable"])
    assert (config.default_shm_size, config.init, config.cdi_spec_dirs) == (1 << 30, True, ("/a",))
    assert [(limit.name, limit.soft, limit.hard) for limit in config.default_ulimits] == [
        ("nofile", 10, 20),
        ("core", -1, -1),
    ]
    settings = {
        "default-shm-size": "64M",
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}},
        "no-new-privileges": True,
        "cdi-spec-dirs": [],
    }
    config = load(file(**settings))
    assert (config.default_shm_size, config.no_new_privileges, config.cdi_spec_dirs) == (64 << 20, True, ())
    assert (config.default_ulimits[0].soft, config.default_ulimits[0].hard) == (1, 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--default-ipc-mode", "host"], r"default IPC mode setting \(host\) is not supported; use"),
        (["--default-ipc-mode", "foo"], r"default IPC mode setting \(foo\) is invalid; use"),
        (["--default-cgroupns-mode", "foo"], r"default cgroup namespace mode \(foo\) is invalid; use"),
        (["--default-shm-size", "much"], "invalid size: 'much'"),
        (["--default-ulimit", "nofile"], "invalid ulimit argument: nofile"),
        (["--default-ulimit", "foo=1"], "invalid ulimit type: foo"),
        (["--default-ulimit", "nofile=5:4"], "ulimit soft limit must be less than or equal to hard limit: 5 > 4"),
    ],
)
def test_defaults_that_cannot_be(file, flags, message):
    with pytest.raises(InvalidArgument, match=message):
        load([*file(), *flags])
