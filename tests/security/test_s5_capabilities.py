"""S5: capabilities that nobody was given (CVE-2022-29162, CVE-2022-24769: inheritable; CVE-2016-8867: ambient)."""

from __future__ import annotations

import subprocess

import pytest

from oci.yard import TIMEOUT, Oci, Yard
from runtime.processes import fields
from security.attack import NO_NETWORK
from support.daemons import Daemon

pytestmark = pytest.mark.root

STATUS = ("cat", "/proc/self/status")
NONE = "0" * 16
SOME = "+chown,+kill,+net_raw"


@pytest.mark.ours  # the reference of Debian 12 still has an inheritable set
@pytest.mark.parametrize("user", ["0", "nobody"])
@pytest.mark.parametrize("options", [(), ("--cap-add", "ALL"), ("--privileged",), ("--init",)], ids=" ".join)
def test_nothing_is_inheritable_or_ambient(daemon: Daemon, user: str, options: tuple[str, ...]) -> None:
    """Run and exec: CapInh and CapAmb are empty, and whoever is not root has nothing in effect, whatever was added.

    Guards: ``spec_process`` gives no inheritable or ambient set; ``init_process_identity.become`` sets all five, after
    the ids have changed. Seen to fail with what is permitted made inheritable, as Docker once did.
    """
    run = daemon.docker("run", "--rm", *NO_NETWORK, *options, "-u", user, "busybox", *STATUS)
    name = daemon.out("run", "-d", *NO_NETWORK, *options, "busybox", "sleep", "60")
    execs = [daemon.docker("exec", *more, "-u", user, name, *STATUS) for more in ((), ("--privileged",))]
    for done in (run, *execs):
        seen = fields(done.stdout)
        assert (seen["CapInh"], seen["CapAmb"]) == (NONE, NONE)
        if user != "0":
            assert (seen["CapEff"], seen["CapPrm"]) == (NONE, NONE)
            assert seen["Uid"].split() == [seen["Uid"].split()[0]] * 4


@pytest.mark.parametrize("how", ["run", "exec"])
@pytest.mark.parametrize("uid", [0, 65534])
def test_the_commands_caller_passes_nothing_on(yard: Yard, oci: Oci, how: str, uid: int) -> None:
    """CVE-2022-29162, CVE-2022-24769: ``wherry-oci`` is called with inheritable and ambient capabilities.

    Guard: ``set_capabilities`` and ``set_ambient`` in ``init_process_identity.become``. Seen to fail without the first.
    """
    config = yard.config(*STATUS, user={"uid": uid, "gid": uid})
    words = oci.argv("run", "-b", yard.bundle(config), "box")
    if how == "exec":
        oci.run(yard.bundle(yard.config("sleep", "100", user={"uid": uid, "gid": uid})))
        words = oci.argv("exec", "box", *STATUS)
    called = ["setpriv", f"--inh-caps={SOME}", f"--ambient-caps={SOME}", *words]
    done = subprocess.run(called, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=True)
    seen = fields(done.stdout)
    assert (seen["CapInh"], seen["CapAmb"]) == (NONE, NONE)
    assert int(seen["CapEff"], 16) == (1 << 5 if uid == 0 else 0)
    if how == "exec":
        oci.ok("delete", "-f", "box")
