"""AppArmor profile and SELinux label of a container's process, where the machine has neither, or a false /proc.

What they do where there is a policy is seen by the lane on a stock kernel, tests/vm.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runtime.processes import Process, with_source

pytestmark = pytest.mark.root
no_apparmor = pytest.mark.skipif(os.path.exists("/sys/kernel/security/apparmor"), reason="this machine has AppArmor")
no_selinux = pytest.mark.skipif(os.path.exists("/sys/fs/selinux/enforce"), reason="this machine has SELinux")


@no_apparmor
def test_a_profile_without_apparmor(program: Process):
    """Refused, as by runc: the program would run unconfined."""
    program.set(apparmorProfile="some-profile").run("true").failed(
        "error during container init: unable to apply apparmor profile: apparmor failed to apply profile: "
        "write /proc/self/attr/exec: invalid argument"
    )


@no_selinux
def test_a_label_without_selinux(program: Process):
    """Refused, as by runc."""
    program.set(selinuxLabel="system_u:system_r:container_t:s0:c1,c2").run("true").failed(
        "selinux label is specified in config, but selinux is disabled or not supported"
    )


def test_none_of_both(program: Process):
    """Empty ones are none."""
    program.set(apparmorProfile="", selinuxLabel="").run("true").ok()


_FALSE_PROC = """
import os, subprocess
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "none", "/proc"], check=True)
os.makedirs("/proc/self/attr")
open("/proc/self/attr/exec", "w").close()
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_process_labels import Labels
try:
    Labels({"apparmorProfile": "strict"}).open()
except StartError as error:
    print(error)
"""


def test_a_false_proc_confines_nobody():
    """CVE-2019-16884: what is written to is looked at first. Fails without ``magic`` in ``Labels._add``."""
    command = ["unshare", "--mount", sys.executable, "-c", _FALSE_PROC]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=with_source(), timeout=20)
    assert done.stdout.endswith("/proc/self/attr/exec is not on procfs\n")
