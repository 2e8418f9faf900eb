"""Who a container's process is, and what it may (runtime-spec, config: user, capabilities, noNewPrivileges)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runtime.processes import RUNTIME, Process, fields, with_source
from wherry.linux.capabilities import available, mask

pytestmark = pytest.mark.root
ours = pytest.mark.skipif(bool(RUNTIME), reason="not what another runtime does")

SOME = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]
SETS = ("Inh", "Prm", "Eff", "Bnd", "Amb")


def status(program: Process) -> dict[str, str]:
    return fields(program.run("cat", "/proc/self/status").ok().out)


def sets(program: Process) -> list[int]:
    """Inheritable, permitted, effective, bounding, ambient."""
    found = status(program)
    return [int(found[f"Cap{name}"], 16) for name in SETS]


def test_ids_are_exactly_those_of_the_configuration(program: Process):
    """uid, gid and additionalGids, all four kinds of each; the groups are those asked for and no other."""
    found = status(program.set(user={"uid": 5, "gid": 6, "additionalGids": [70, 8, 70], "username": "root"}))
    assert found["Uid"].split() == ["5"] * 4
    assert found["Gid"].split() == ["6"] * 4
    assert found["Groups"].split() == ["8", "70"]


def test_without_additional_groups_there_are_none(program: Process):
    """The runtime's own do not come along, nor does the container's group file add any (CVE-2022-36109)."""
    (program.rootfs / "etc/group").write_text("staff:x:50:user\n")
    assert status(program.set(user={"uid": 1000, "gid": 1000}))["Groups"] == ""


@ours
def test_ids_that_the_kernel_has_not(program: Process):
    """4294967295 is -1, with which setresuid(2) would leave us root."""
    for user in ({"uid": 4294967295, "gid": 0}, {"uid": 1, "gid": 4294967295}, {"uid": 1 << 40, "gid": 0}):
        program.set(user=user).run("id").failed("unable to setup user: uids and gids must be in range")
    assert status(program.set(user={"uid": 4294967294, "gid": 7}))["Uid"].split() == ["4294967294"] * 4


def test_the_five_sets(program: Process):
    """Each as it is given; ambient ones survive a change of user."""
    given = {"bounding": SOME, "permitted": SOME, "effective": SOME[:2], "inheritable": SOME[:1], "ambient": SOME[:1]}
    program.set(user={"uid": 7, "gid": 7}, capabilities=given)
    assert sets(program) == [mask(SOME[:1]), mask(SOME[:1]), mask(SOME[:1]), mask(SOME), mask(SOME[:1])]


def test_another_user_has_no_capabilities(program: Process):
    """S5 (CVE-2016-8867): none but the bounding set, which a setuid program may draw from."""
    program.set(
        user={"uid": 65534, "gid": 65534}, capabilities=dict.fromkeys(("bounding", "permitted", "effective"), SOME)
    )
    assert sets(program) == [0, 0, 0, mask(SOME), 0]


@pytest.mark.parametrize("given", [None, {}])
def test_without_capabilities_there_are_none(program: Process, given):
    """Not even in the bounding set."""
    assert sets(program.set(capabilities=given)) == [0] * 5


def test_an_ambient_capability_that_is_not_permitted_is_left_out(program: Process):
    """As under runc; the container runs."""
    given = {"bounding": SOME, "permitted": SOME, "effective": SOME, "ambient": ["CAP_SYS_ADMIN"]}
    assert sets(program.set(capabilities=given)) == [0, mask(SOME), mask(SOME), mask(SOME), 0]


def test_a_capability_that_we_have_not(program: Process):
    """Asked for by the configuration, missing on the machine: refused."""
    if "CAP_SYS_RESOURCE" in available():
        pytest.skip("this machine has CAP_SYS_RESOURCE")
    wanted = [*SOME, "CAP_SYS_RESOURCE"]
    program.set(capabilities={"bounding": wanted, "permitted": wanted, "effective": wanted})
    program.run("true").failed("unable to apply caps: operation not permitted")


def test_no_new_privileges(program: Process):
    """As given, and nothing by default."""
    assert status(program)["NoNewPrivs"] == "0"
    assert status(program.set(noNewPrivileges=True))["NoNewPrivs"] == "1"


def test_ids_of_a_user_namespace(program: Process):
    """Inside as asked for, outside by the map; all capabilities are the namespace's."""
    program.bundle.in_user_namespace()
    found = fields(
        program.set(user={"uid": 5, "gid": 6, "additionalGids": [9]}).shell("cat /proc/self/status").ok().out
    )
    assert (found["Uid"].split()[0], found["Gid"].split()[0], found["Groups"]) == ("5", "6", "9")


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"uid": 70000, "gid": 0}, "unable to setup user: cannot set uid to unmapped user in user namespace"),
        ({"uid": 0, "gid": 70000}, "unable to setup user: cannot set gid to unmapped user in user namespace"),
    ],
)
def test_ids_that_the_namespace_has_not(program: Process, user, message):
    """In runc's words."""
    program.bundle.in_user_namespace()
    program.set(user=user).run("true").failed(message)


def test_a_terminal_or_pipe_belongs_to_the_user(program: Process):
    """/dev/stdout can be opened again by the user that the program runs as."""
    done = program.set(user={"uid": 44, "gid": 44}).shell("stat -L -c %u /proc/self/fd/1; echo again >/dev/fd/1").ok()
    assert done.lines == ["44", "again"]


_DENIED = """
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_process_identity import _set_groups
_set_groups((), user_namespace=True)
try:
    _set_groups((5,), user_namespace=True)
except StartError as error:
    print(error)
"""


def test_groups_where_they_may_not_be_changed():
    """A namespace made without privileges (CVE-2014-8989): none are asked for, fine; some, and it says so."""
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", _DENIED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=with_source(), timeout=20)
    assert done.stdout == "unable to setup user: cannot set any additional groups in a rootless container\n"
