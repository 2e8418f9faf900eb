"""AppArmor's default profile as text, and SELinux labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.lib.errors import InvalidArgument
from wherry.runtime.apparmor import profile_text
from wherry.runtime.host import HostFacts
from wherry.runtime.selinux import Policy, labels, read_policy
from wherry.runtime.spec_security import SecurityOptions, apparmor_profile

POLICY = Policy(process="system_u:system_r:container_t:s0", file="system_u:object_r:container_file_t:s0")


def test_the_profile_denies_what_dockers_denies() -> None:
    text = profile_text("docker-default", "unconfined", tunables=True, base=False)
    assert text.startswith("#include <tunables/global>\nprofile docker-default flags=(attach_disconnected,")
    for rule in ("deny mount,", "deny /proc/kcore rwklx,", "deny /sys/firmware/** rwklx,", "capability,", "file,"):
        assert f"  {rule}\n" in text
    assert "abstractions/base" not in text
    assert text.count("signal (receive) peer=unconfined,") == 1
    assert "peer=mine," in profile_text("x", "mine", tunables=False, base=True)


@pytest.mark.parametrize(
    ("option", "privileged", "expected"),
    [
        ("", False, "docker-default"),
        ("", True, "unconfined"),
        ("mine", True, "mine"),
        ("unconfined", False, "unconfined"),
    ],
)
def test_which_profile(option: str, privileged: bool, expected: str) -> None:  # noqa: FBT001  from a table
    """Without AppArmor in the kernel none, whatever was asked for."""
    options = SecurityOptions(apparmor=option)
    assert apparmor_profile(options, HostFacts(apparmor=True), privileged=privileged) == expected
    assert apparmor_profile(options, HostFacts(apparmor=False), privileged=privileged) == ""


def test_labels_are_of_one_container_alone() -> None:
    first = labels(POLICY, (), ())
    assert first.process.startswith("system_u:system_r:container_t:s0:c")
    assert first.mount == first.process.replace("system_r:container_t", "object_r:container_file_t")
    taken = [first.mount]
    for _ in range(50):
        more = labels(POLICY, (), taken)
        assert more.mount not in taken
        taken.append(more.mount)


def test_label_options() -> None:
    """As opencontainers/selinux reads them: level and user hold for both labels."""
    found = labels(POLICY, ["type:spc_t", "level:s0:c1,c2", "filetype:mine_t"], ())
    assert found.process == "system_u:system_r:spc_t:s0:c1,c2"
    assert found.mount == "system_u:object_r:mine_t:s0:c1,c2"
    disabled = labels(POLICY, ["disable"], ())
    assert (disabled.process, disabled.mount) == ("", "system_u:object_r:container_file_t:s0:c1022,c1023")


@pytest.mark.parametrize("option", ["level", "colour:blue"])
def test_bad_label_options(option: str) -> None:
    with pytest.raises(InvalidArgument, match="Bad label option"):
        labels(POLICY, [option], ())


def test_the_policy_of_a_machine(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("# SELINUXTYPE=old\nSELINUX=enforcing\nSELINUXTYPE=mine\n")
    contexts = tmp_path / "mine" / "contexts"
    contexts.mkdir(parents=True)
    (contexts / "lxc_contexts").write_text(f'process = "{POLICY.process}"\nfile = "{POLICY.file}"\ncontent = "x"\n')
    assert read_policy(tmp_path) == POLICY
