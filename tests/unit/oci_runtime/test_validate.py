from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.runtime.oci import spec_file
from wherry.runtime.oci.defaults import default_spec, rootless_spec
from wherry.runtime.oci.errors import Failure
from wherry.runtime.oci.shape import _STRUCTS, check
from wherry.runtime.oci.validate import Facts, dotted, validate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted({name for fields in _STRUCTS.values() for name in fields})), inner, max_size=5
        )
    ),
    max_leaves=20,
)


def _refusal(spec, facts=None, **further) -> str:
    with pytest.raises(Failure) as caught:
        validate(spec, facts or Facts(), **further)
    return str(caught.value)


def _changed(*path, value):
    spec = default_spec()
    place = spec
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return spec


def test_what_spec_prints_is_valid():
    for spec in (default_spec(), rootless_spec(1000, 1000)):
        check(spec)
        assert validate(spec, Facts(rootless="uidMappings" in spec["linux"])) == []


@given(JSON)
def test_any_json_is_valid_or_refused(value):
    """Nothing but Failure, whatever the file holds."""
    try:
        check(value)
        validate(value or {}, Facts())
    except Failure:
        pass


@given(st.sampled_from(sorted(_STRUCTS["Spec"])), JSON)
def test_any_field_of_a_good_one(name, value):
    spec = default_spec()
    spec[name] = value
    before = copy.deepcopy(spec)
    try:
        check(spec)
        validate(spec, Facts(rootless=True))
    except Failure:
        pass
    assert repr(spec) == repr(before)


@given(st.sampled_from(sorted(_STRUCTS["Linux"])), JSON)
def test_any_field_of_linux(name, value):
    spec = default_spec()
    spec["linux"][name] = value
    try:
        check(spec)
        validate(spec, Facts())
    except Failure:
        pass


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("Spec", [], "json: cannot unmarshal array into Go value of type specs.Spec"),
        ("Spec", {"root": "x"}, "json: cannot unmarshal string into Go struct field Spec.root of type specs.Root"),
        (
            "Spec",
            {"mounts": [{"options": "ro"}]},
            "json: cannot unmarshal string into Go struct field Mount.mounts.options of type []string",
        ),
        (
            "Spec",
            {"linux": {"sysctl": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field Linux.linux.sysctl of type string",
        ),
        (
            "Spec",
            {"linux": {"resources": {"pids": {"limit": 1.5}}}},
            "json: cannot unmarshal number 1.5 into Go struct field LinuxPids.linux.resources.pids.limit of type int64",
        ),
        (
            "Process",
            {"terminal": "yes"},
            "json: cannot unmarshal string into Go struct field Process.terminal of type bool",
        ),
        (
            "LinuxNamespace",
            {"type": 1},
            "json: cannot unmarshal number into Go struct field LinuxNamespace.type of type specs.LinuxNamespaceType",
        ),
        (
            "LinuxResources",
            {"memory": {"disableOOMKiller": 1}},
            "json: cannot unmarshal number into Go struct field LinuxMemory.memory.disableOOMKiller of type bool",
        ),
    ],
)
def test_types_in_gos_words(kind, value, words):
    with pytest.raises(Failure) as caught:
        check(value, kind)
    assert str(caught.value) == words


def test_null_is_what_is_not_there():
    check({"process": None, "mounts": None, "linux": {"seccomp": None}})
    data = b' {"process": null, "linux": {"seccomp": null, "devices": []}} and more'
    assert spec_file.decode(data, "Spec") == {"linux": {"devices": []}}
    with pytest.raises(Failure, match="cannot unmarshal null into Go struct field"):
        check({"mounts": [None]})


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/conf/eno2.100/rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
        ("net.ipv4.conf.eno2/100.rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
        ("kernel", "kernel"),
        ("", ""),
    ],
)
def test_sysctls_with_slashes(name, written):
    assert dotted(name) == written


def test_sysctls_need_their_namespace():
    spec = _changed("linux", "sysctl", value={"net.core.somaxconn": "1"})
    assert validate(spec, Facts()) == []
    spec["linux"]["namespaces"] = [{"type": "network", "path": "/run/netns/x"}, {"type": "uts"}, {"type": "mount"}]
    assert validate(spec, Facts()) == []
    host = Facts(is_host_network=lambda _: True)
    assert _refusal(spec, host) == 'sysctl "net.core.somaxconn" not allowed in host network namespace'
    spec["linux"]["sysctl"] = {"kernel.shmmax": "1"}
    assert _refusal(spec) == 'sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace'
    spec["linux"]["sysctl"] = {"kernel.domainname": "x"}
    assert validate(spec, Facts()) == []


def test_private_propagation_needs_pivot_root():
    spec = _changed("linux", "rootfsPropagation", value="rprivate")
    assert validate(spec, Facts()) == []
    assert _refusal(spec, no_pivot=True) == "rootfsPropagation of [r]private is not safe without pivot_root"


def test_clocks_need_their_namespace():
    spec = _changed("linux", "timeOffsets", value={"monotonic": {"secs": 1}})
    assert "time namespace isn't enabled" in _refusal(spec)
    spec["linux"]["namespaces"].append({"type": "time"})
    assert validate(spec, Facts()) == []


def test_a_relative_mount_is_a_warning():
    spec = default_spec()
    spec["mounts"].append({"destination": "data", "type": "tmpfs"})
    (warning,) = validate(spec, Facts())
    assert warning.startswith("mount destination data is not absolute.")


def test_an_ordinary_user_mounts_only_what_he_has():
    spec = rootless_spec(1000, 1000)
    spec["mounts"].append({"destination": "/x", "type": "tmpfs", "options": ["uid=5"]})
    words = "cannot specify uid= mount options for unmapped uid in rootless containers"
    assert _refusal(spec, Facts(rootless=True)) == words
    assert validate(spec, Facts()) == []
