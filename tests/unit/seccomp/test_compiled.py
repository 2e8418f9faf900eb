"""The compiled program, run by a small interpreter of classic BPF, against the rules."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from support.bpf import X86, run
from wherry.linux import capabilities, libseccomp
from wherry.linux.seccomp_docker import ProfileCache, compile_profile

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0
_NEWNS = 0x00020000


@pytest.fixture(scope="module")
def default() -> bytes:
    return compile_profile(None, capabilities.DEFAULT)


def number(name: str) -> int:
    found = libseccomp.syscall(name)
    assert found is not None
    return found


def test_the_default_profile_on_known_calls(default: bytes) -> None:
    """What Docker's users rely on: files yes, mounts no, namespaces no, clone3 falls back."""
    assert run(default, number("openat")) == ALLOW
    assert run(default, number("mount")) == EPERM
    assert run(default, number("unshare")) == EPERM
    assert run(default, number("clone"), 0) == ALLOW
    assert run(default, number("clone"), _NEWNS) == EPERM
    assert run(default, number("clone3")) == ENOSYS
    assert run(default, number("chroot")) == ALLOW
    assert run(default, number("personality"), 0) == ALLOW
    assert run(default, number("personality"), 1) == EPERM


def test_syscalls_of_a_newer_kernel_do_not_exist(default: bytes) -> None:
    """ENOSYS, so that a C library falls back, on each architecture by its own last number."""
    assert run(default, 9999) == ENOSYS
    assert run(default, 9999, arch=X86) == ENOSYS
    assert run(default, 0x40000000 + 9999) == ENOSYS
    assert run(default, number("mount") + 0x40000000) == EPERM


def test_a_foreign_architecture_is_killed(default: bytes) -> None:
    """A call by a table that the profile does not cover is not let through."""
    assert run(default, 1, arch=0xC00000B7) == KILL


def test_capabilities_open_what_the_profile_says() -> None:
    """SYS_ADMIN may mount; the program differs."""
    admin = compile_profile(None, [*capabilities.DEFAULT, "CAP_SYS_ADMIN"])
    assert run(admin, number("mount")) == ALLOW
    assert run(admin, number("clone"), _NEWNS) == ALLOW


def test_a_profile_of_ones_own() -> None:
    """Errno, several conditions on one argument as alternatives, an unknown name passed over."""
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
            {
                "names": ["kill"],
                "action": "SCMP_ACT_ERRNO",
                "args": [
                    {"index": 1, "op": "SCMP_CMP_EQ", "value": 9},
                    {"index": 1, "op": "SCMP_CMP_EQ", "value": 15},
                ],
            },
        ],
    }
    program = compile_profile(json.dumps(profile).encode(), ())
    assert run(program, number("mkdir")) == 0x0005000D
    assert run(program, number("kill"), 5, 9) == EPERM
    assert run(program, number("kill"), 5, 15) == EPERM
    assert run(program, number("kill"), 5, 1) == ALLOW
    assert run(program, 9999) == ALLOW


def test_the_cache_gives_the_same_program_and_survives_damage(tmp_path: Path) -> None:
    """One private file per profile; a torn or foreign file is made anew, and a full disk costs only time."""
    directory = tmp_path / "seccomp"
    program = ProfileCache(directory).get(None, capabilities.DEFAULT)
    (file,) = directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert program == compile_profile(None, capabilities.DEFAULT)
    file.write_bytes(file.read_bytes()[:-1])
    assert ProfileCache(directory).get(None, list(reversed(capabilities.DEFAULT))) == program
    assert len(list(directory.iterdir())) == 1
    assert ProfileCache(directory).get(None, ()) != program
    assert len(list(directory.iterdir())) == 2


def test_a_cache_that_cannot_be_written_still_compiles(tmp_path: Path) -> None:
    """Whatever stands in the way of its directory."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    assert ProfileCache(blocked / "cache").get(None, ()) == compile_profile(None, ())


@pytest.mark.root
def test_the_kernel_takes_the_program(default: bytes) -> None:
    """Loaded in a child: mount is refused, an unknown call does not exist."""
    from wherry.linux.seccomp_load import Loader

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        Loader(default).load()
        libc.mount(b"x", b"/proc", b"tmpfs", 0, 0)
        refused = ctypes.get_errno()
        libc.syscall(9999)
        os.write(write, f"{refused} {ctypes.get_errno()}".encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"1 38"
