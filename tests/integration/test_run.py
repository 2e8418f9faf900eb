"""``docker run``: what a person types first, and what each flag promises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.commands import eventually
from support.daemons import Daemon


def quick(daemon: Daemon, *args: str, **options: object) -> str:
    """The output of a container that needs no network and is gone afterwards."""
    return daemon.docker("run", "--rm", "--network", "none", *args, **options).stdout


def test_a_command_prints_and_its_container_is_gone(daemon: Daemon) -> None:
    """run --rm prints the program's output, exits 0 and leaves no container."""
    assert daemon.docker("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
    assert daemon.out("ps", "-aq") == ""


@pytest.mark.parametrize("code", [0, 1, 42, 125, 255])
def test_the_exit_code_is_the_programs(daemon: Daemon, code: int) -> None:
    """run exits with what the program exited with."""
    done = daemon.docker("run", "--rm", "--network", "none", "busybox", "sh", "-c", f"exit {code}", check=False)
    assert done.returncode == code


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("TERM", 15), ("SEGV", 11)])
def test_a_signal_is_128_and_its_number(daemon: Daemon, name: str, number: int) -> None:
    """A program killed by a signal gives 128 + n."""
    script = f"sh -c 'kill -{name} $$'; exit $?"
    done = daemon.docker("run", "--rm", "--network", "none", "--init", "busybox", "sh", "-c", script, check=False)
    assert done.returncode == 128 + number


def test_a_command_that_does_not_exist_is_127(daemon: Daemon) -> None:
    """run of an unknown program exits 127 and says which, in Docker's words."""
    done = daemon.docker("run", "--rm", "--network", "none", "busybox", "no-such-program", check=False)
    assert done.returncode == 127
    assert 'exec: "no-such-program": executable file not found in $PATH' in done.stderr


def test_an_absolute_path_that_does_not_exist_is_127(daemon: Daemon) -> None:
    done = daemon.docker("run", "--rm", "--network", "none", "busybox", "/no/such", check=False)
    assert done.returncode == 127
    assert "/no/such" in done.stderr
    assert "no such file or directory" in done.stderr


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc"])
def test_a_command_that_cannot_be_executed_is_126(daemon: Daemon, target: str) -> None:
    """A file without the x bit, or a directory, gives 126 (the CLI of 20.10 knows it for files only)."""
    done = daemon.docker("run", "--rm", "--network", "none", "busybox", target, check=False)
    assert done.returncode in ({126} if target == "/etc/passwd" else {126, 125})
    assert re.search("permission denied|is a directory", done.stderr)


def test_dockers_own_fault_is_125(daemon: Daemon) -> None:
    """A request the daemon refuses makes the CLI exit 125."""
    done = daemon.docker("run", "--rm", "--memory", "1k", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "Minimum memory limit allowed is" in done.stderr


def test_stdout_and_stderr_stay_apart(daemon: Daemon) -> None:
    done = daemon.docker("run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_stdin_reaches_the_program_and_ends(daemon: Daemon) -> None:
    """run -i passes standard input through, end of file included."""
    assert quick(daemon, "-i", "busybox", "wc", "-c", input=b"x" * 100_000) == "100000\n"


def test_without_i_stdin_is_empty(daemon: Daemon) -> None:
    assert quick(daemon, "busybox", "wc", "-c", input=b"not for you") == "0\n"


def test_nothing_is_lost_at_a_fast_exit(daemon: Daemon) -> None:
    """R11: what a program printed right before its end arrives whole."""
    expected = "".join(f"{number}\n" for number in range(1, 20001))
    for _ in range(8):
        assert quick(daemon, "busybox", "seq", "20000") == expected


def test_binary_output_is_not_touched(daemon: Daemon) -> None:
    """Every byte value passes the stream unchanged."""
    script = 'i=0; while [ $i -lt 256 ]; do printf "\\x$(printf %02x $i)"; i=$((i+1)); done'
    argv = daemon.docker_argv("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    done = subprocess.run(argv, env=daemon.docker_env(), capture_output=True, check=True, timeout=30)
    assert done.stdout == bytes(range(256))


def test_detached_prints_the_id(daemon: Daemon) -> None:
    """run -d prints the full id and returns while the program runs."""
    name = daemon.out("run", "-d", "--network", "none", "busybox", "sleep", "60")
    assert re.fullmatch("[0-9a-f]{64}", name)
    assert daemon.state(name) == "running"


def test_environment(daemon: Daemon) -> None:
    """-e and --env-file add to the image's environment; HOME and HOSTNAME are set."""
    listing = Path(daemon.root, "env-file")
    listing.write_text("# comment\nFROM_FILE=1\n")
    printed = quick(daemon, "-e", "A=b c", "--env-file", str(listing), "-h", "box", "busybox", "env").splitlines()
    assert {"A=b c", "FROM_FILE=1", "HOSTNAME=box", "HOME=/root"} <= set(printed)
    assert any(line.startswith("PATH=/usr/local/sbin:") for line in printed)


def test_a_terminal_sets_term(daemon: Daemon) -> None:
    assert "TERM=xterm\r\n" in quick(daemon, "-t", "busybox", "env")


def test_working_directory(daemon: Daemon) -> None:
    """-w is the working directory, made when it is missing."""
    assert quick(daemon, "-w", "/made/by/docker", "busybox", "pwd") == "/made/by/docker\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("nobody", "65534 65534 65534 100"),
        ("1000", "1000 0 0"),
        ("1000:100", "1000 100 100"),
        ("daemon:users", "1 100 100"),
        ("0:wheel", "0 10 10"),
    ],
)
def test_user(daemon: Daemon, user: str, expected: str) -> None:
    """-u by name or number, with the groups of the image's own files."""
    printed = quick(daemon, "-u", user, "busybox", "sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
    assert printed.strip() == expected


def test_group_add(daemon: Daemon) -> None:
    printed = quick(daemon, "-u", "1000:1000", "--group-add", "users", "--group-add", "777", "busybox", "id", "-G")
    assert sorted(printed.split()) == ["100", "1000", "777"]


def test_an_unknown_user_is_refused(daemon: Daemon) -> None:
    done = daemon.docker("run", "--rm", "--network", "none", "-u", "stranger", "busybox", "true", check=False)
    assert done.returncode in {125, 126}
    assert "unable to find user stranger: no matching entries in passwd file" in done.stderr


def test_entrypoint_and_arguments(daemon: Daemon) -> None:
    """--entrypoint replaces the program; the words after the image are its arguments."""
    assert quick(daemon, "--entrypoint", "echo", "busybox", "a", "b  c") == "a b  c\n"


def test_hostname_and_hosts(daemon: Daemon) -> None:
    """-h, --add-host and the container's own name stand in /etc/hosts and /etc/hostname."""
    script = "hostname; cat /etc/hostname /etc/hosts"
    printed = daemon.out("run", "--rm", "-h", "web", "--add-host", "db:10.9.8.7", "busybox", "sh", "-c", script)
    lines = printed.splitlines()
    assert lines[:2] == ["web", "web"]
    assert "127.0.0.1\tlocalhost" in lines
    assert "10.9.8.7\tdb" in lines
    assert any(re.fullmatch(r"172\.29\.5\.\d+\tweb", line) for line in lines)


def test_dns_options(daemon: Daemon) -> None:
    """--dns, --dns-search and --dns-option write resolv.conf."""
    options = ("--dns", "192.0.2.53", "--dns-search", "example.test", "--dns-option", "ndots:2")
    lines = daemon.out("run", "--rm", *options, "busybox", "cat", "/etc/resolv.conf").splitlines()
    assert {"nameserver 192.0.2.53", "search example.test", "options ndots:2"} <= set(lines)


def test_init_reaps_and_forwards(daemon: Daemon) -> None:
    """--init puts a small init at pid 1; the program is its child and zombies are reaped."""
    script = "cat /proc/$$/status | grep PPid; (sh -c 'sleep 0.05 &' ); sleep 0.2; ps -o stat | grep -c Z || true"
    printed = quick(daemon, "--init", "busybox", "sh", "-c", script)
    assert printed.splitlines() == ["PPid:\t1", "0"]


def test_read_only_root(daemon: Daemon) -> None:
    """--read-only refuses writes to the root and allows them on a --tmpfs."""
    script = "touch /x 2>&1; touch /scratch/y && echo fine"
    printed = quick(daemon, "--read-only", "--tmpfs", "/scratch:size=1m", "busybox", "sh", "-c", script)
    assert printed == "touch: /x: Read-only file system\nfine\n"


def test_tmpfs_options(daemon: Daemon) -> None:
    printed = quick(
        daemon, "--tmpfs", "/t:rw,size=64k,mode=1770", "busybox", "sh", "-c", "grep ' /t ' /proc/mounts; stat -c %a /t"
    )
    line, mode = printed.splitlines()
    assert line.startswith("tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=64k,mode=1770")
    assert mode == "1770"


def test_shm_size(daemon: Daemon) -> None:
    """/dev/shm has 64 MB unless --shm-size says otherwise."""
    script = "df -k /dev/shm | tail -1 | awk '{print $2}'"
    assert quick(daemon, "busybox", "sh", "-c", script) == "65536\n"
    assert quick(daemon, "--shm-size", "8m", "busybox", "sh", "-c", script) == "8192\n"


def test_ulimit_and_sysctl(daemon: Daemon) -> None:
    options = ("--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_unprivileged_port_start=99")
    script = "ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    assert quick(daemon, *options, "busybox", "sh", "-c", script) == "100\n200\n99\n"


def test_memory_and_pids_limits(daemon: Daemon) -> None:
    """--memory and --pids-limit are written to the container's control group and shown by inspect."""
    name = daemon.out(
        "run",
        "-d",
        "--network",
        "none",
        "--memory",
        "32m",
        "--pids-limit",
        "10",
        "--cpus",
        "0.5",
        "busybox",
        "sleep",
        "60",
    )
    host = daemon.inspect(name)["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["NanoCpus"]) == (32 << 20, 10, 500_000_000)
    pid = daemon.inspect(name)["State"]["Pid"]
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if "memory" in groups:  # cgroup v1
        assert Path(f"/sys/fs/cgroup/memory{groups['memory']}/memory.limit_in_bytes").read_text() == f"{32 << 20}\n"
        assert Path(f"/sys/fs/cgroup/pids{groups['pids']}/pids.max").read_text() == "10\n"
    else:
        assert Path(f"/sys/fs/cgroup{groups['']}/memory.max").read_text() == f"{32 << 20}\n"
        assert Path(f"/sys/fs/cgroup{groups['']}/pids.max").read_text() == "10\n"


def test_too_much_memory_is_killed_and_said(daemon: Daemon) -> None:
    """A program past its memory limit is killed: 137, OOMKilled true."""
    name = daemon.out(
        "run",
        "-d",
        "--network",
        "none",
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        "tail /dev/zero",
    )
    assert daemon.out("wait", name) in {"137", "1"}  # the shell or its child
    assert daemon.inspect(name)["State"]["OOMKilled"] is True


def test_cidfile(daemon: Daemon) -> None:
    target = Path(daemon.root, "cid")
    target.unlink(missing_ok=True)
    name = daemon.out("run", "-d", "--cidfile", str(target), "--network", "none", "busybox", "true")
    assert target.read_text() == name
    target.unlink()


def test_labels_name_and_command_are_kept(daemon: Daemon) -> None:
    """What was asked for is what inspect shows."""
    daemon.docker(
        "create", "--name", "kept", "-l", "a=1", "-e", "X=y", "--network", "none", "busybox", "sh", "-c", "echo hi"
    )
    seen = daemon.inspect("kept")
    assert seen["Name"] == "/kept"
    assert seen["Config"]["Labels"] == {"a": "1"}
    assert seen["Config"]["Cmd"] == ["sh", "-c", "echo hi"]
    assert (seen["Path"], seen["Args"]) == ("sh", ["-c", "echo hi"])
    assert "X=y" in seen["Config"]["Env"]
    assert seen["State"]["Status"] == "created"


def test_a_name_in_use_is_a_conflict(daemon: Daemon) -> None:
    first = daemon.out("create", "--name", "taken", "busybox")
    done = daemon.docker("create", "--name", "taken", "busybox", check=False)
    assert done.returncode == 1
    assert (
        f'Conflict. The container name "/taken" is already in use by container "{first}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    ) in done.stderr


def test_an_unknown_image_is_named(daemon: Daemon) -> None:
    """With --pull never the daemon's own words are shown."""
    done = daemon.docker("run", "--rm", "--pull", "never", "no-such-image", check=False)
    assert done.returncode == 125
    assert "No such image: no-such-image:latest" in done.stderr


def test_pid_ipc_and_uts_of_the_host(daemon: Daemon) -> None:
    """--pid host, --ipc host and --uts host share the machine's namespaces."""
    script = "for name in pid ipc uts; do readlink /proc/self/ns/$name; done"
    mine = [Path(f"/proc/self/ns/{name}").readlink().name for name in ("pid", "ipc", "uts")]
    assert (
        quick(daemon, "--pid", "host", "--ipc", "host", "--uts", "host", "busybox", "sh", "-c", script).split() == mine
    )
    own = quick(daemon, "busybox", "sh", "-c", script).split()
    assert not set(own) & set(mine)


def test_joining_another_containers_pid_namespace(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "first", "--network", "none", "busybox", "sleep", "61")
    assert "sleep 61" in quick(daemon, "--pid", "container:first", "busybox", "ps")


def test_a_device_is_passed_through(daemon: Daemon) -> None:
    """--device gives the node, and the permission to open it."""
    printed = quick(
        daemon,
        "--device",
        "/dev/null:/dev/other",
        "busybox",
        "sh",
        "-c",
        "ls /dev/other; echo x > /dev/other && echo ok",
    )
    assert printed == "/dev/other\nok\n"


def test_devices_of_a_container(daemon: Daemon) -> None:
    """The devices that every container has, and no other (/dev/core needs a /proc/kcore)."""
    expected = "console fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert quick(daemon, "-t", "busybox", "sh", "-c", "cd /dev; rm -f core; echo *").strip() == expected


def test_standard_mounts(daemon: Daemon) -> None:
    """What is mounted where, in what mode."""
    mounts = {line.split()[1]: line.split() for line in quick(daemon, "busybox", "cat", "/proc/mounts").splitlines()}
    kinds = {point: mounts[point][2] for point in ("/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys")}
    assert kinds == {
        "/": "overlay",
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
        "/sys": "sysfs",
    }
    assert "ro" in mounts["/sys"][3].split(",")
    assert {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"} <= mounts.keys()


def test_a_container_does_not_see_the_machines_processes(daemon: Daemon) -> None:
    lines = quick(daemon, "busybox", "ps", "-o", "pid,comm").split("\n")
    assert [line.split() for line in lines if line] == [["PID", "COMMAND"], ["1", "ps"]]


def test_changes_stay_in_the_container(daemon: Daemon) -> None:
    """Two containers of one image do not see each other's files."""
    daemon.docker(
        "run", "--name", "writer", "--network", "none", "busybox", "sh", "-c", "echo mine > /file; rm /etc/passwd"
    )
    assert quick(daemon, "busybox", "sh", "-c", "ls /file /etc/passwd 2>&1 || true").splitlines()[-1] == "/etc/passwd"


def test_auto_remove_of_a_detached_container(daemon: Daemon) -> None:
    """run -d --rm disappears by itself."""
    name = daemon.out("run", "-d", "--rm", "--network", "none", "busybox", "true")
    eventually("it is gone", lambda: daemon.api("GET", f"/containers/{name}/json").status == 404)


def test_restart_policy_counts(daemon: Daemon) -> None:
    """--restart on-failure:2 starts it again twice and then leaves it."""
    name = daemon.out("run", "-d", "--restart", "on-failure:2", "--network", "none", "busybox", "sh", "-c", "exit 7")

    def settled() -> bool:
        seen = daemon.inspect(name)
        return seen["RestartCount"] == 2 and seen["State"]["Status"] == "exited"

    eventually("two restarts", settled, within=15)
    assert daemon.inspect(name)["State"]["ExitCode"] == 7


def test_a_stop_ends_the_restart_policy(daemon: Daemon) -> None:
    """--restart always, then stop: it stays down."""
    name = daemon.out("run", "-d", "--restart", "always", "--network", "none", "busybox", "sleep", "60")
    daemon.docker("stop", "-t", "0", name)
    assert daemon.state(name) == "exited"
    assert daemon.inspect(name)["RestartCount"] == 0
