"""Where a runtime is known to do otherwise than a clause says, and why; its test is then expected to fail.

By program and version (empty: any), then by test. An entry that no longer holds fails the run (``xfail_strict``).
"""

from __future__ import annotations

_LATER = "knows it from 1.2 on"

DEPARTURES: dict[tuple[str, str], dict[str, str]] = {
    # Both are runc's ways, which its callers know.
    ("wherry-oci", ""): {
        "test_operations.py::test_delete_of_a_created_one": "kills and deletes a created container, as runc does",
        "test_process.py::test_umask_of_the_caller[63]": "sets 0022, as runc does",
    },
    ("runc", "1.1.5"): {
        "test_operations.py::test_delete_of_a_created_one": "kills and deletes a created container",
        "test_hooks.py::test_hooks_come_in_time[create-poststart]": "runs the poststart hooks at the end of create",
        "test_hooks.py::test_state_on_stdin[poststart]": "runs the poststart hooks at the end of create",
        "test_hook_failures.py::test_failing_hook_is_an_error[startContainer]": "start does not hear of it",
        "test_hook_failures.py::test_failing_poststart": "ends the container, as 1.3 of the specification asks",
        "test_hook_failures.py::test_hooks_behind_a_failing_poststart": "ends the container",
        "test_hook_failures.py::test_hooks_behind_a_failing_poststop": "runs no further hooks",
        "test_root.py::test_version_is_semver[one]": "does not look at the version",
        "test_root.py::test_version_is_semver[]": "does not look at the version",
        "test_root.py::test_invalid_values[personality]": "does not know personality yet",
        "test_mounts.py::test_option[defaults]": "hands it to the file system, which refuses it",
        "test_mounts.py::test_option[ratime]": "asks the kernel for what it refuses",
        **{
            f"test_rights.py::{name}": _LATER
            for name in (
                *("test_scheduler[batch]", "test_scheduler[idle]", "test_scheduler[nice]", "test_scheduler_unknown"),
                *("test_io_priority[BE]", "test_io_priority[RT]", "test_io_priority[IDLE]", "test_io_priority_unknown"),
            )
        },
        "test_process.py::test_domainname": _LATER,
        "test_process.py::test_umask_of_the_caller[63]": "sets 0022",
        "test_rights.py::test_rlimit_twice": "takes the last one",
        "test_devices.py::test_device_in_the_way": "leaves the file there and goes on",
        "test_resources.py::test_limits[memory.kernelTCP]": "ignores it, as deprecated",
        "test_resources.py::test_limits[cpu.burst]": _LATER,
        "test_resources.py::test_limits[cpu.idle]": _LATER,
        "test_resources.py::test_limits_not_valid[burst]": _LATER,
        "test_resources.py::test_realtime_policy": _LATER,
        "test_cgroups.py::test_v2_owner": "gives it away with systemd only",
        "test_linux.py::test_personality[LINUX32]": _LATER,
        "test_linux.py::test_propagation[shared]": "leaves the root private",
        "test_linux.py::test_propagation[unbindable]": "cannot bind the root after it",
        "test_seccomp.py::test_errno_ret_without_errno": "ignores it",
        "test_seccomp.py::test_no_names": "ignores the rule",
        "test_mounts.py::test_option[rnostrictatime]": "asks the kernel for what it refuses",
    },
}


def departures(name: str, version: str) -> dict[str, str]:
    """Reasons by ``file.py::test[id]``."""
    return {**DEPARTURES.get((name, ""), {}), **DEPARTURES.get((name, version), {})}
