"""Our configuration made one for other runtimes: version, filter, init, options."""

from __future__ import annotations

import json

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.linux.seccomp_profile import Platform
from wherry.runtime.foreign_seccomp import oci_seccomp
from wherry.runtime.foreign_spec import complete_spec, uses

MACHINE = Platform("amd64", "SCMP_ARCH_X86_64", (6, 1))


def spec():
    return {
        "ociVersion": "1.2.0",
        "process": {"args": ["prog", "arg"]},
        "mounts": [{"destination": "/a", "type": "bind", "source": "/b", "options": ["rbind", "ro", "rro"]}],
        "linux": {"seccomp": {"flags": []}},
    }


def test_the_given_is_left_alone():
    given = spec()
    complete_spec(given, init="/usr/bin/tini", seccomp={"defaultAction": "SCMP_ACT_ALLOW"})
    assert given == spec()


def test_an_init_goes_in_front():
    """At Docker's place, read-only, with the program behind ``--``."""
    made = complete_spec(spec(), init="/usr/bin/tini")
    assert made["process"]["args"] == ["/sbin/docker-init", "--", "prog", "arg"]
    assert made["mounts"][-1] == {
        "destination": "/sbin/docker-init",
        "type": "bind",
        "source": "/usr/bin/tini",
        "options": ["bind", "ro", "rprivate"],
    }


def test_recursive_read_only_where_the_runtime_knows_it():
    assert uses(spec(), "rro")
    assert complete_spec(spec())["mounts"][0]["options"] == ["rbind", "ro"]
    assert complete_spec(spec(), mount_options=["bind", "rro"])["mounts"][0]["options"] == ["rbind", "ro", "rro"]


def test_the_default_profile_depends_on_capabilities():
    """The runtime gets rules without conditions on capabilities, for the machine's architectures."""
    plain, more = oci_seccomp(None, [], MACHINE), oci_seccomp(None, ["CAP_SYS_ADMIN"], MACHINE)
    assert plain["defaultAction"] == "SCMP_ACT_ERRNO"
    assert plain["defaultErrnoRet"] == 1
    assert plain["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]

    def allowed(seccomp):
        return {
            name
            for call in seccomp["syscalls"]
            if call["action"] == "SCMP_ACT_ALLOW" and "args" not in call
            for name in call["names"]
        }

    assert "mount" in allowed(more) - allowed(plain)
    assert "read" in allowed(plain)


def test_a_profile_of_the_users_own():
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["chmod", "fchmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {
                "names": ["personality"],
                "action": "SCMP_ACT_KILL_PROCESS",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_MASKED_EQ", "valueTwo": 8}],
            },
        ],
    }
    assert oci_seccomp(json.dumps(profile).encode(), [], MACHINE) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["chmod", "fchmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {
                "names": ["personality"],
                "action": "SCMP_ACT_KILL_PROCESS",
                "args": [{"index": 0, "value": 8, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}],
            },
        ],
    }


def test_a_profile_that_confines_nothing():
    assert oci_seccomp(b"{}", [], MACHINE) is None
    with pytest.raises(InvalidArgument):
        oci_seccomp(b"[", [], MACHINE)
