"""AppArmor: Docker's default profile is loaded and confines, others can be asked for by name, and so can none.

Without ``init_process_labels`` the programs run as ``unconfined`` and every test here fails.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vm.conftest import Bundle, Oci
from wherry.runtime import apparmor

NO_TMP = """
profile wherry-no-tmp flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  deny /tmp/** wl,
}
"""
ALL = ("CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_CHOWN")


@pytest.fixture(scope="module", autouse=True)
def profiles() -> Iterator[None]:
    """The default profile, loaded as the daemon does it, and one of the test's own."""
    apparmor.ensure_default()
    subprocess.run(["apparmor_parser", "-Kr"], input=NO_TMP, text=True, check=True)
    yield
    subprocess.run(["apparmor_parser", "-R"], input=NO_TMP, text=True, check=True)


def confined(profile: str) -> Callable[[dict[str, Any]], None]:
    """An edit: this profile, and rights so wide that nothing but the profile stands in the way."""

    def edit(spec: dict[str, Any]) -> None:
        process = spec["process"]
        process["apparmorProfile"] = profile
        process["capabilities"] = {name: list(ALL) for name in ("bounding", "effective", "permitted")}

    return edit


def test_the_default_profile_is_loaded_once() -> None:
    assert apparmor.is_loaded("docker-default")
    apparmor.ensure_default()
    listed = Path("/sys/kernel/security/apparmor/profiles").read_text().splitlines()
    assert listed.count("docker-default (enforce)") == 1


def test_the_default_profile_confines(oci: Oci, bundle: Bundle) -> None:
    """Mounts and writes below /proc/sys and /proc are refused although the capabilities would allow them."""
    script = """
    cat /proc/self/attr/current
    mount -t tmpfs none /tmp 2>/dev/null && echo mounted
    echo 1 >/proc/sys/vm/drop_caches && echo written
    echo h >/proc/sysrq-trigger && echo pressed
    : >/tmp/fine && echo fine
    """
    folder = bundle("sh", "-c", script, edit=confined("docker-default"))
    done = oci("run", "--bundle", str(folder), "one", check=False)
    assert done.stdout.splitlines() == ["docker-default (enforce)", "fine"], done.stderr


def test_what_it_forbids_would_work_without_it(oci: Oci, bundle: Bundle) -> None:
    script = """
    cat /proc/self/attr/current
    mount -t tmpfs none /tmp && echo mounted
    : >/proc/sys/vm/drop_caches && echo opened
    """
    folder = bundle("sh", "-c", script, edit=confined("unconfined"))
    done = oci("run", "--bundle", str(folder), "one")
    assert done.stdout.splitlines() == ["unconfined", "mounted", "opened"]


def test_a_profile_is_chosen_by_name(oci: Oci, bundle: Bundle) -> None:
    script = "cat /proc/self/attr/current; (: >/tmp/no) 2>/dev/null || echo refused"
    folder = bundle("sh", "-c", script, edit=confined("wherry-no-tmp"))
    done = oci("run", "--bundle", str(folder), "one")
    assert done.stdout.splitlines() == ["wherry-no-tmp (enforce)", "refused"]


def test_an_exec_is_confined_too(oci: Oci, bundle: Bundle) -> None:
    """By the container's profile, or by one of its own."""
    folder = bundle("sleep", "60", edit=confined("docker-default"))
    oci.detached("run", "--detach", "--bundle", str(folder), "one")
    look = ("one", "cat", "/proc/self/attr/current")
    assert oci("exec", *look).stdout.strip() == "docker-default (enforce)"
    assert oci("exec", "--apparmor", "wherry-no-tmp", *look).stdout.strip() == "wherry-no-tmp (enforce)"
    oci("kill", "one", "KILL")


def test_a_profile_that_is_not_loaded_is_an_error(oci: Oci, bundle: Bundle) -> None:
    folder = bundle("true", edit=confined("not-there"))
    done = oci("run", "--bundle", str(folder), "one", check=False)
    assert done.returncode == 1
    assert "unable to apply apparmor profile" in done.stderr
    assert oci("list", "--quiet").stdout == ""
