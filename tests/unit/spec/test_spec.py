"""What each option does to the spec."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.lib.errors import InvalidArgument
from wherry.runtime.host import HostFacts
from wherry.runtime.spec import Bind, JoinPaths, SpecInput, Tmpfs, build_spec, cgroup_path, exec_process, wants_init
from wherry.runtime.spec_linux import check_sysctl
from wherry.runtime.spec_mounts import merge_tmpfs_options, tmpfs_options
from wherry.runtime.spec_process import environment, override, rlimits, working_directory
from wherry.runtime.spec_resources import parse_device_rule
from wherry.runtime.spec_security import Seccomp, SecurityOptions, parse_security_options, seccomp_profile
from wherry.runtime.spec_settle import settle
from wherry.wire.container import ContainerConfig, HostConfig, Ulimit
from wherry.wire.exec import ExecCreate

OFFERED = ("CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN")
HOST = HostFacts(
    cpus=2,
    cpuset_cpus="0-1",
    cpuset_mems="0",
    capabilities=OFFERED,
    hard_limits={"nofile": 1024, "core": -1},
    thermal_paths=("/sys/devices/system/cpu/cpu0/thermal_throttle",),
)


def spec(host_config: HostConfig | None = None, **more: Any) -> dict[str, Any]:
    config = more.pop("config", ContainerConfig(cmd=["true"]))
    settled, _ = settle(config, host_config or HostConfig(), HOST)
    return build_spec(
        SpecInput(
            id="c0", hostname="c0", config=config, host_config=settled, cgroup_path="/wherry/c0", host=HOST, **more
        )
    )


def mounts(found: dict[str, Any]) -> dict[str, list[str]]:
    return {mount["destination"]: mount["options"] for mount in found["mounts"]}


def namespaces(found: dict[str, Any]) -> dict[str, str]:
    return {entry["type"]: entry.get("path", "") for entry in found["linux"]["namespaces"]}


def test_privileged_opens_everything() -> None:
    """All capabilities of the machine, nothing hidden, sysfs and cgroups writable, every device."""
    found = spec(HostConfig(privileged=True))
    assert found["process"]["capabilities"]["bounding"] == list(OFFERED)
    assert found["linux"]["maskedPaths"] == found["linux"]["readonlyPaths"] == []
    assert "ro" not in mounts(found)["/sys"]
    assert "ro" not in mounts(found)["/sys/fs/cgroup"]
    assert found["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_no_capability_is_inheritable_or_ambient() -> None:
    """CVE-2022-24769."""
    for host_config in (HostConfig(), HostConfig(privileged=True), HostConfig(cap_add=["SYS_ADMIN"])):
        assert set(spec(host_config)["process"]["capabilities"]) == {"bounding", "effective", "permitted"}


def test_a_read_only_root_keeps_the_etc_files_read_only() -> None:
    """And the API file systems writable."""
    etc = [Bind(source="/x/hosts", destination="/etc/hosts")]
    found = spec(HostConfig(readonly_rootfs=True), etc_files=etc)
    assert found["root"]["readonly"] is True
    assert mounts(found)["/etc/hosts"] == ["rbind", "ro", "rprivate"]
    assert "ro" not in mounts(found)["/dev/shm"]


def test_a_mount_of_the_users_wins() -> None:
    """Over an etc file, over a default, and over everything below /dev."""
    found = spec(
        mounts=[Bind(source="/mine", destination="/etc/hosts"), Bind(source="/dev", destination="/dev")],
        etc_files=[Bind(source="/x/hosts", destination="/etc/hosts")],
    )
    sources = {mount["destination"]: mount["source"] for mount in found["mounts"]}
    assert sources["/etc/hosts"] == "/mine"
    assert [path for path in sources if path.startswith("/dev")] == ["/dev"]


def test_a_parent_is_mounted_before_its_child() -> None:
    """Whatever order they were asked for in."""
    asked = [Bind(source="/1", destination="/a/b/c"), Tmpfs(destination="/a/b"), Bind(source="/2", destination="/a")]
    order = [mount["destination"] for mount in spec(mounts=asked)["mounts"]]
    assert order[-3:] == ["/a", "/a/b", "/a/b/c"]


def test_bind_options() -> None:
    """Read-only all the way down where the kernel can; shared needs a shared root."""
    found = spec(
        mounts=[
            Bind(source="/1", destination="/ro", writable=False, recursive_read_only=True),
            Bind(source="/2", destination="/flat", recursive=False),
            Bind(source="/3", destination="/shared", propagation="rshared"),
        ]
    )
    assert mounts(found)["/ro"] == ["rbind", "ro", "rro", "rprivate"]
    assert mounts(found)["/flat"] == ["bind", "rprivate"]
    assert found["linux"]["rootfsPropagation"] == "shared"


@pytest.mark.parametrize(
    ("host_config", "join", "expected"),
    [
        (HostConfig(), {}, {"mount": "", "network": "", "uts": "", "pid": "", "ipc": ""}),
        (HostConfig(network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host"), {}, {"mount": ""}),
        (
            HostConfig(network_mode="container:x", pid_mode="container:x"),
            {"network": "/n", "pid": "/p"},
            {"mount": "", "network": "/n", "uts": "", "pid": "/p", "ipc": ""},
        ),
        (
            HostConfig(cgroupns_mode="private"),
            {"network": "/run/netns/x"},
            {"mount": "", "network": "/run/netns/x", "uts": "", "pid": "", "ipc": "", "cgroup": ""},
        ),
    ],
)
def test_namespaces(host_config: HostConfig, join: dict[str, str], expected: dict[str, str]) -> None:
    """Made, entered, or the host's."""
    assert namespaces(spec(host_config, join=JoinPaths(**join))) == expected


def test_the_network_defaults_are_only_for_a_network_of_its_own() -> None:
    """Neither the host's nor another container's is changed."""
    assert spec()["linux"]["sysctl"] == {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647",
    }
    assert spec(HostConfig(network_mode="host"))["linux"]["sysctl"] == {}
    assert spec(HostConfig(network_mode="container:x"), join=JoinPaths(network="/n"))["linux"]["sysctl"] == {}
    assert "net.ipv4.ping_group_range" in spec(HostConfig(network_mode="none"))["linux"]["sysctl"]


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("net.ipv4.ip_forward", set(), 'sysctl "net.ipv4.ip_forward" not allowed in host network namespace'),
        ("kernel.shmmax", {"network"}, 'sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace'),
        ("kernel.panic", {"network", "ipc", "uts"}, 'sysctl "kernel.panic" is not in a separate kernel namespace'),
        ("kernel.hostname", {"uts"}, "conflicts with the OCI"),
        ("net/../kernel/panic", {"network"}, "invalid sysctl"),
        ("net.ipv4.conf.a\nb", {"network"}, "invalid sysctl"),
        ("", {"network"}, "invalid sysctl"),
    ],
)
def test_a_sysctl_never_changes_the_host(name: str, own: set[str], message: str) -> None:
    """Only what a namespace of the container's own holds."""
    with pytest.raises(InvalidArgument) as refusal:
        check_sysctl(name, own)
    assert message in str(refusal.value)
    check_sysctl("net.ipv4.conf.all/route_localnet", {"network"})


def test_shared_memory() -> None:
    """Private by size, none at all, or somebody's."""
    assert "size=1048576" in mounts(spec(HostConfig(shm_size=1 << 20)))["/dev/shm"]
    assert "/dev/shm" not in mounts(spec(HostConfig(ipc_mode="none"), shm_source="/dev/shm"))
    assert mounts(spec(HostConfig(ipc_mode="host"), shm_source="/dev/shm"))["/dev/shm"] == ["rbind", "rprivate"]
    assert "mode=1777" in mounts(spec(HostConfig(ipc_mode="shareable")))["/dev/shm"]


def test_environment_order_and_overrides() -> None:
    """Docker's defaults first; replaced in place, removed by a bare name."""
    env = environment(["A=1", "PATH=/bin", "HOSTNAME"], hostname="h", tty=True)
    assert env == ["PATH=/bin", "TERM=xterm", "A=1"]
    assert override(["A=1", "B=2"], ["B=3", "C", "D=", "A=x=y"]) == ["A=x=y", "B=3", "D="]


def test_an_exec_is_the_container_with_another_command() -> None:
    """Its environment over the container's, its directory, and all capabilities only if asked for."""
    config = ContainerConfig(cmd=["sleep"], env=["A=1"], working_dir="/srv", tty=True)
    base = ExecCreate(cmd=["sh"], env=["A=2"], tty=False)
    process = exec_process(config, HostConfig(oom_score_adj=5), base, HOST, hostname="h", no_new_privileges=True)
    assert process["args"] == ["sh"]
    assert process["env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h", "A=2"]
    assert (process["cwd"], process["terminal"], process["noNewPrivileges"]) == ("/srv", False, True)
    assert process["capabilities"]["bounding"] == ["CAP_CHOWN", "CAP_KILL"]  # type: ignore[index]
    privileged = ExecCreate(cmd=["sh"], privileged=True, working_dir="/x", tty=True, console_size=(24, 80))
    process = exec_process(config, HostConfig(), privileged, HOST, hostname="h")
    assert process["capabilities"]["bounding"] == list(OFFERED)  # type: ignore[index]
    assert (process["cwd"], process["consoleSize"]) == ("/x", {"height": 24, "width": 80})


def test_a_default_limit_is_cut_to_what_the_machine_gives() -> None:
    """What the user asked for is not: the runtime fails over it, as it should."""
    asked = [Ulimit(name="nofile", soft=4096, hard=4096)]
    assert rlimits(asked, [], HOST) == [{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096}]
    default = [Ulimit(name="nofile", soft=4096, hard=-1), Ulimit(name="core", soft=-1, hard=-1)]
    infinity = (1 << 64) - 1
    assert rlimits([], default, HOST) == [
        {"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024},
        {"type": "RLIMIT_CORE", "hard": infinity, "soft": infinity},
    ]
    assert rlimits(asked, default[:1], HOST) == rlimits(asked, [], HOST)


def test_resources() -> None:
    """``--cpus`` becomes a quota; what is not set is not there."""
    assert set(spec()["linux"]["resources"]) == {"devices"}
    found = spec(HostConfig(nano_cpus=500_000_000, pids_limit=20, memory=64 << 20))["linux"]["resources"]
    assert found["cpu"] == {"period": 100_000, "quota": 50_000}
    assert found["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert found["pids"] == {"limit": 20}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("c 42:* rmw", {"allow": True, "type": "c", "access": "rmw", "major": 42}),
        ("a *:* r", {"allow": True, "type": "a", "access": "r"}),
        ("b 8:1 w", {"allow": True, "type": "b", "access": "w", "major": 8, "minor": 1}),
    ],
)
def test_device_rules(text: str, rule: dict[str, Any]) -> None:
    """Docker's format."""
    assert parse_device_rule(text) == rule


@pytest.mark.parametrize("text", ["foo", "c 1:2", "d 1:2 r", "c 1:2 rwx", "c 1:2 rwmr", "c 1:2 r\n"])
def test_what_is_no_device_rule(text: str) -> None:
    """Refused at create."""
    with pytest.raises(InvalidArgument, match="invalid device cgroup rule format"):
        parse_device_rule(text)


@pytest.mark.parametrize(
    ("options", "merged"),
    [
        (["noexec", "nosuid", "exec"], ["nosuid", "exec"]),
        (["rprivate", "size=1m", "size=2m", "shared"], ["size=2m", "shared"]),
        (["ro", "rw", "defaults"], ["rw"]),
    ],
)
def test_later_tmpfs_options_win(options: list[str], merged: list[str]) -> None:
    """By what they set, not by their names."""
    assert merge_tmpfs_options(options) == merged


def test_tmpfs_options() -> None:
    """Of ``--mount``, in the kernel's words; what tmpfs does not know is refused in Docker's."""
    assert tmpfs_options(64 << 20, 0o1777, read_only=True) == "ro,mode=1777,size=64m"
    assert tmpfs_options(1001, 0, read_only=False) == "size=1001"
    with pytest.raises(InvalidArgument, match=r'invalid tmpfs option \["foo" "bar"\]'):
        merge_tmpfs_options(["foo=bar"])


@pytest.mark.parametrize(
    ("parent", "expected"),
    [("", "/wherry/c0"), ("/x", "/x/c0"), ("x/y", "/x/y/c0"), ("../../x", "/x/c0"), ("/..", "/c0"), ("//x//", "/x/c0")],
)
def test_the_cgroup_stays_in_its_hierarchy(parent: str, expected: str) -> None:
    """Whatever the parent is called."""
    assert cgroup_path("c0", parent, "wherry") == expected


@given(st.text(max_size=30))
def test_a_working_directory_is_always_absolute_and_clean(path: str) -> None:
    """And inside the root."""
    found = working_directory(path)
    assert found.startswith("/")
    assert not found.startswith("//")
    assert ".." not in found.split("/")


def test_security_options() -> None:
    """Each kind, the last of a kind, and the daemon's default."""
    found = parse_security_options(["no-new-privileges:true", "seccomp=unconfined", "label=disable"])
    assert found == SecurityOptions(no_new_privileges=True, seccomp="unconfined", labels=("disable",))
    assert not parse_security_options(["no-new-privileges=false"], no_new_privileges=True).no_new_privileges
    assert parse_security_options(['seccomp={"a": "b=c"}']).seccomp == '{"a": "b=c"}'
    assert "ro" not in mounts(spec(security=SecurityOptions(writable_cgroups=True)))["/sys/fs/cgroup"]
    privileged = spec(HostConfig(privileged=True), security=SecurityOptions(writable_cgroups=False))
    assert "ro" in mounts(privileged)["/sys/fs/cgroup"]
    assert parse_security_options(["writable-cgroups"]).writable_cgroups
    for wrong in ("foo", "foo=bar", "no-new-privileges=maybe"):
        with pytest.raises(InvalidArgument, match="invalid --security-opt"):
            parse_security_options([wrong])


def test_which_seccomp_profile() -> None:
    """Privileged is unconfined unless a profile is asked for."""
    plain, unconfined = SecurityOptions(), SecurityOptions(seccomp="unconfined")
    assert seccomp_profile(plain, privileged=False) == Seccomp(None)
    assert seccomp_profile(plain, privileged=False, default=None) is None
    assert seccomp_profile(plain, privileged=True) is None
    assert seccomp_profile(unconfined, privileged=False) is None
    assert seccomp_profile(SecurityOptions(seccomp="{}"), privileged=True) == Seccomp(b"{}")
    assert seccomp_profile(SecurityOptions(seccomp="builtin"), privileged=True) == Seccomp(None)


def test_init_only_with_process_ids_of_its_own() -> None:
    """In another's namespace there is an init already."""
    assert wants_init(HostConfig(init=True), default=False)
    assert wants_init(HostConfig(), default=True)
    assert not wants_init(HostConfig(init=False), default=True)
    assert not wants_init(HostConfig(init=True, pid_mode="host"), default=False)


def test_no_command_is_refused() -> None:
    """In Docker's words."""
    with pytest.raises(InvalidArgument, match=r"^no command specified$"):
        spec(config=ContainerConfig())


def test_thermal_counters_are_hidden() -> None:
    """For each CPU that has them, unless the user said what to hide."""
    assert "/sys/devices/system/cpu/cpu0/thermal_throttle" in spec()["linux"]["maskedPaths"]
    assert spec(HostConfig(masked_paths=[], readonly_paths=["/proc/x"]))["linux"]["maskedPaths"] == []
