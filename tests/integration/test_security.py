"""What a container must not be able to do (promises S1, S2, S3, S5, S6, S7, S8, S10), by trying it.

The attacker owns the image and the program in it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from support import images
from support.daemons import GATEWAY, Daemon

DEFAULT_CAPABILITIES = "00000000a80425fb"
NONE = "0000000000000000"
MASKED = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def quick(daemon: Daemon, *args: str, **options: object) -> str:
    return daemon.docker("run", "--rm", "--network", "none", *args, **options).stdout


def status(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


# --- S5: capabilities and privileges


def test_capabilities_of_root(daemon: Daemon) -> None:
    """Docker's fourteen; inheritable and ambient empty; seccomp on."""
    seen = status(quick(daemon, "busybox", "cat", "/proc/self/status"))
    assert (seen["CapPrm"], seen["CapEff"], seen["CapBnd"]) == (DEFAULT_CAPABILITIES,) * 3
    assert seen["CapAmb"] == NONE
    if daemon.kind == "wherryd":
        assert seen["CapInh"] == NONE
    assert seen["Seccomp"] == "2"


def test_capabilities_of_another_user(daemon: Daemon) -> None:
    """-u nobody has none in effect, though the bounding set stays."""
    seen = status(quick(daemon, "-u", "nobody", "busybox", "cat", "/proc/self/status"))
    assert (seen["CapPrm"], seen["CapEff"], seen["CapAmb"]) == (NONE,) * 3
    assert seen["CapBnd"] == DEFAULT_CAPABILITIES


@pytest.mark.parametrize("user", ["0", "nobody"])
def test_exec_has_no_more_than_run(daemon: Daemon, user: str) -> None:
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "60")
    seen = status(daemon.out("exec", "-u", user, name, "cat", "/proc/self/status"))
    assert seen["CapEff"] == (DEFAULT_CAPABILITIES if user == "0" else NONE)
    assert seen["CapAmb"] == NONE
    if daemon.kind == "wherryd":
        assert seen["CapInh"] == NONE
    assert seen["Seccomp"] == "2"


def test_cap_add_and_drop(daemon: Daemon) -> None:
    seen = status(quick(daemon, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "busybox", "cat", "/proc/self/status"))
    assert int(seen["CapEff"], 16) == 1 << 12
    seen = status(quick(daemon, "--cap-drop", "CAP_CHOWN", "busybox", "cat", "/proc/self/status"))
    assert int(seen["CapEff"], 16) == int(DEFAULT_CAPABILITIES, 16) & ~1


def test_no_new_privileges(daemon: Daemon) -> None:
    assert status(quick(daemon, "busybox", "cat", "/proc/self/status"))["NoNewPrivs"] == "0"
    options = ("--security-opt", "no-new-privileges")
    assert status(quick(daemon, *options, "busybox", "cat", "/proc/self/status"))["NoNewPrivs"] == "1"


# --- the default profile (S7 among it)


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /mnt",
        "mount -t cgroup -o memory none /mnt",
        "unshare -m true",
        "unshare -U true",
        "unshare -n true",
        "hostname changed",
        "mknod /x b 8 0 && dd if=/x of=/dev/null count=1",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "swapoff -a /dev/none",
        "reboot -f",
        "insmod /none.ko",
        "dmesg -c",
        "chroot /proc/1/root sh -c 'mount -t tmpfs none /mnt'",
    ],
)
def test_the_default_profile_refuses(daemon: Daemon, command: str) -> None:
    done = daemon.docker(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", f"mkdir -p /mnt; {command}", check=False
    )
    assert done.returncode != 0
    assert re.search("not permitted|denied|Read-only|can't|Function not implemented|No such", done.stderr), done.stderr


def test_without_a_profile_more_is_allowed(daemon: Daemon) -> None:
    """seccomp=unconfined is honoured, so the refusals above are the profile's doing."""
    seen = status(quick(daemon, "--security-opt", "seccomp=unconfined", "busybox", "cat", "/proc/self/status"))
    assert seen["Seccomp"] == "0"


def test_a_profile_of_ones_own(daemon: Daemon, tmp_path: Path) -> None:
    """A custom profile is used: this one forbids mkdir and nothing else."""
    (tmp_path / "p.json").write_text(
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
    )
    options = ("--security-opt", f"seccomp={tmp_path}/p.json")
    done = daemon.docker("run", "--rm", "--network", "none", *options, "busybox", "mkdir", "/new", check=False)
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr


# --- S3: masked and read-only paths, mounts


def test_masked_paths_show_nothing(daemon: Daemon) -> None:
    show = "[ -d $p ] && ls -A $p || cat $p 2>/dev/null"
    script = f"for p in {' '.join(MASKED)}; do [ -e $p ] || continue; {show}; done | wc -c"
    assert quick(daemon, "busybox", "sh", "-c", script) == "0\n"


def test_read_only_paths_refuse(daemon: Daemon) -> None:
    mounts = {
        line.split()[1]: line.split()[3].split(",")
        for line in quick(daemon, "busybox", "cat", "/proc/mounts").splitlines()
    }
    for path in READ_ONLY:
        if os.path.exists(path):
            assert "ro" in mounts[path], path
    assert "ro" in mounts["/sys"]


def test_cgroups_are_read_only(daemon: Daemon) -> None:
    printed = quick(daemon, "busybox", "sh", "-c", "cat /proc/mounts")
    for line in printed.splitlines():
        if line.split()[2] in {"cgroup", "cgroup2"}:
            assert line.split()[3].split(",")[0] == "ro", line


def test_a_dev_link_in_the_image_does_not_lead_out(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """S3 (CVE-2026-41579 and kin): /dev, /proc or /sys as a symlink to a host folder: nothing is made there."""
    for name in ("dev", "proc", "sys", "etc"):
        trap = images.Tar()
        trap.add(f".wh.{name}")
        trap.link(name, f"../../../..{tmp_path}")
        daemon.docker("load", input=images.docker_archive([f"trap-{name}:1"], [busybox_layer, trap.bytes()]))
        daemon.docker("run", "--rm", "--network", "none", f"trap-{name}:1", "true", check=False)
        daemon.docker("rmi", "-f", f"trap-{name}:1")
        assert list(tmp_path.iterdir()) == [], name


# --- S1: the runtime's own binary


def host_files() -> list[Path]:
    """The interpreter and every library that this process, like the runtime, has mapped."""
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    return [Path(sys.executable).resolve(), *sorted(Path(path) for path in mapped if path.startswith("/"))]


def test_the_runtime_cannot_be_overwritten(daemon: Daemon) -> None:
    """S1 (CVE-2019-5736): through /proc/self/exe nobody reaches the host's interpreter or libraries."""
    targets = host_files()
    before = [hashlib.sha256(target.read_bytes()).hexdigest() for target in targets]
    done = daemon.docker(
        "run", "--rm", "--network", "none", "--entrypoint", "/proc/self/exe", "busybox", "--version", check=False
    )
    assert "Python" not in done.stdout + done.stderr
    name = daemon.out(
        "run",
        "-d",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "while :; do for p in /proc/[0-9]*/exe; do echo x > $p; done; usleep 1000; done 2>/dev/null",
    )
    for _ in range(5):
        seen = daemon.docker("exec", name, "/proc/self/exe", "--version", check=False)
        assert "Python" not in seen.stdout + seen.stderr
    assert [hashlib.sha256(target.read_bytes()).hexdigest() for target in targets] == before


def test_no_process_of_ours_is_visible_inside(daemon: Daemon) -> None:
    """From inside, every /proc/N/exe is the container's own file."""
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "60")
    script = "for p in /proc/[0-9]*; do readlink $p/exe; done | sort -u"
    assert daemon.out("exec", name, "sh", "-c", script) == "/bin/busybox"


# --- S2: descriptors and the working directory


@pytest.mark.parametrize("how", ["run", "exec"])
def test_only_three_descriptors_are_open(daemon: Daemon, how: str) -> None:
    script = "ls /proc/$$/fd"
    if how == "run":
        printed = quick(daemon, "busybox", "sh", "-c", script + "; true")
    else:
        name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "60")
        printed = daemon.out("exec", name, "sh", "-c", script + "; true")
    assert printed.split() == ["0", "1", "2"]


@pytest.mark.parametrize("how", ["run", "exec"])
def test_a_working_directory_through_a_descriptor_is_refused(daemon: Daemon, how: str) -> None:
    """S2 (CVE-2024-21626): -w /proc/self/fd/N never shows the host's root."""
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "60")
    for number in range(3, 20):
        where = f"/proc/self/fd/{number}"
        tail = ("sh", "-c", "pwd -P; cat ../../../../../../etc/os-release")
        if how == "run":
            if number > 9:
                break
            done = daemon.docker("run", "--rm", "--network", "none", "-w", where, "busybox", *tail, check=False)
        else:
            done = daemon.docker("exec", "-w", where, name, *tail, check=False)
        assert "NAME=" not in done.stdout, f"{where} shows the machine's files"


# --- S6: users


def test_a_user_named_with_digits(daemon: Daemon, busybox_layer: bytes) -> None:
    """S6 (CVE-2022-36109 and kin): a passwd with a user named "1000" is read as names, then numbers, as Docker does."""
    layer = images.Tar()
    layer.add("etc/passwd", b"root:x:0:0::/root:/bin/sh\n1000:x:0:0::/:/bin/sh\n")
    layer.add("etc/group", b"root:x:0:\n")
    daemon.docker("load", input=images.docker_archive(["digits:1"], [busybox_layer, layer.bytes()]))
    assert quick(daemon, "-u", "1000:1000", "digits:1", "id", "-u") in {"0\n", "1000\n"}
    daemon.docker("rmi", "digits:1")


def test_passwd_that_is_a_fifo_or_a_link_out(daemon: Daemon, busybox_layer: bytes) -> None:
    """S6 (CVE-2024-9676): a passwd that is no file neither hangs the start nor reads the machine's own."""
    fifo, link = images.Tar(), images.Tar()
    for tar in (fifo, link):
        tar.add("etc/.wh.passwd")
    fifo.add("etc/passwd", kind=b"6", mode=0o644)
    link.link("etc/passwd", "../../../../../../etc/passwd-")
    for name, tar in (("fifo:1", fifo), ("link:1", link)):
        if name == "fifo:1" and daemon.kind == "dockerd":
            continue  # the reference waits for a writer until someone kills it
        daemon.docker("load", input=images.docker_archive([name], [busybox_layer, tar.bytes()]))
        done = daemon.docker(
            "run", "--rm", "--network", "none", "-u", "somebody", name, "true", check=False, timeout=10
        )
        assert done.returncode in {125, 126}
        done = daemon.docker("run", "--rm", "--network", "none", "-u", "7:8", name, "id", "-u", check=False, timeout=10)
        assert done.stdout in {"7\n", ""}
        daemon.docker("rmi", name)


@pytest.mark.ours
def test_a_huge_group_file_is_bounded(daemon: Daemon, busybox_layer: bytes) -> None:
    """S6 (CVE-2026-47262): 64 MiB of /etc/group cost neither time nor memory: a bound, or a refusal that says so."""
    before = peak_memory(daemon)
    layer = images.Tar()
    layer.add("etc/group", b"filler:x:7:nobody\n" * (64 << 20 >> 4))
    daemon.docker("load", input=gzip.compress(images.docker_archive(["huge:1"], [busybox_layer, layer.bytes()]), 1))
    for user in ("nobody", "0", "7:8"):
        done = daemon.docker(
            "run", "--rm", "--network", "none", "-u", user, "huge:1", "id", "-u", check=False, timeout=10
        )
        assert done.returncode == 0 or "group" in done.stderr
    assert peak_memory(daemon) < before + 100_000
    daemon.docker("rmi", "huge:1")


def peak_memory(daemon: Daemon) -> int:
    """The most memory that the daemon ever had resident, in KiB."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# --- S8: who reaches the engine


def test_the_engine_is_not_on_the_network(daemon: Daemon) -> None:
    """S8 (CVE-2025-9074): from inside a container no engine port answers on the gateway."""
    for port in ("2375", "2376", "7946", "2377"):
        done = daemon.docker("run", "--rm", "busybox", "nc", "-w", "1", GATEWAY, port, check=False, input=b"")
        assert done.returncode != 0


# --- S10: modes


def test_modes_of_the_socket_and_the_roots(daemon: Daemon) -> None:
    """The socket is 0660, the data root is not readable by others (CVE-2021-41091)."""
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o660
    assert stat.S_ISSOCK(os.stat(daemon.socket).st_mode)
    assert stat.S_IMODE(os.stat(daemon.data_root).st_mode) & 0o077 in {0o00, 0o10}


@pytest.mark.ours
def test_nothing_below_the_data_root_is_open_to_others(daemon: Daemon) -> None:
    """Nobody but root passes from the data root down to a container's files."""
    daemon.docker("run", "-d", "--network", "none", "busybox", "sleep", "60")
    for root in (daemon.data_root, daemon.exec_root):
        for entry in os.scandir(root):
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            assert stat.S_IMODE(os.stat(root).st_mode) & 0o007 == 0 or mode & 0o007 == 0, f"{entry.path} is {mode:o}"
    assert stat.S_IMODE(os.stat(daemon.data_root).st_mode) in {0o700, 0o710}
    assert stat.S_IMODE(os.stat(daemon.exec_root).st_mode) in {0o700, 0o710, 0o711}


def test_the_log_file_is_private(daemon: Daemon) -> None:
    name = daemon.out("run", "-d", "--network", "none", "busybox", "echo", "secret")
    daemon.docker("wait", name)
    assert stat.S_IMODE(os.stat(daemon.inspect(name)["LogPath"]).st_mode) == 0o640


def test_keyrings_and_oom_score(daemon: Daemon) -> None:
    """The container's processes are no dearer to the kernel than others."""
    assert quick(daemon, "busybox", "cat", "/proc/self/oom_score_adj") == "0\n"
    assert quick(daemon, "--oom-score-adj", "300", "busybox", "cat", "/proc/self/oom_score_adj") == "300\n"


def test_umask_and_limits(daemon: Daemon) -> None:
    assert quick(daemon, "busybox", "sh", "-c", "umask; ulimit -c") in {"0022\nunlimited\n", "0022\n0\n"}
