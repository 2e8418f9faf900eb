"""config.md, process: the terminal, the program, the user, limits and rights."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conformance.bundle import PATH, args, bind, mounts, process, shell, top
from conformance.clauses import DEFINED, MUST, SHOULD_NOT, cases, clause
from conformance.probe import parts_of, script, status_field
from conformance.terminal import ConsoleSocket
from conformance.yard import Scope, Yard

# The terminal.


@pytest.fixture(scope="module")
def console(shared: Scope, yard: Yard) -> Iterator[dict[str, str]]:
    """What a program on a terminal of 33 rows and 111 columns sees; ``sent`` is what came over the socket."""
    parts = {
        "isatty": "for n in 0 1 2; do test -t $n && echo $n; done",
        "size": "stty size",
        "console": "stat -c '%F %t %T' /dev/console; echo written > /dev/console",
        "same": "stat -L -c %t:%T /dev/console /proc/self/fd/0",
        "mounts": "grep ' /dev/console ' /proc/self/mountinfo",
        "links": "readlink /proc/self/fd/0",
        "leader": "tty",
    }
    one = shared(
        shell(script(parts) + "\necho '@@ end'"), process(terminal=True, consoleSize={"height": 33, "width": 111})
    )
    with ConsoleSocket(yard.directory / "console.sock") as console:
        one.made("--console-socket", str(console.path))
        # The descriptor is there when create returns, before anything runs.
        console.terminal()
        one.started()
        text = console.read_until("@@ end\n")
        yield parts_of(text)


@pytest.mark.parametrize(
    "number",
    cases(
        "config.md#process",
        DEFINED,
        *(
            (name, f"terminal: {name} is the terminal", str(number))
            for number, name in enumerate(["stdin", "stdout", "stderr"])
        ),
    ),
)
def test_terminal_streams(console: dict[str, str], number: str) -> None:
    # The parts' own stderr goes where their stdout does.
    assert number in console["isatty"].split()


@clause("config.md#process", DEFINED, "consoleSize: the terminal has that height and width")
def test_console_size(console: dict[str, str]) -> None:
    assert console["size"] == "33 111"


@clause("config-linux.md#default-devices", MUST, "with terminal, /dev/console is the terminal, bind-mounted")
def test_console_device(console: dict[str, str]) -> None:
    assert console["mounts"] != ""
    assert "written" in console["console"]
    here, stdin = console["same"].split()
    assert here == stdin


@clause("config.md#process", DEFINED, "terminal is false by default: the streams are not a terminal")
def test_no_terminal(box: Scope) -> None:
    one = box(shell("test -t 0 || echo no; test -e /dev/console || echo none"))
    one.bundle.spec["process"].pop("terminal")
    one.bundle.write()
    assert one.run().out == "no\nnone\n"


@clause("config.md#process", MUST, "consoleSize is ignored without terminal")
def test_console_size_ignored(box: Scope) -> None:
    assert box(process(consoleSize={"height": 1, "width": 1})).run().code == 0


@clause("config.md#process", MUST, "a terminal that nobody takes is an error of create")
def test_terminal_without_socket(box: Scope) -> None:
    one = box(process(terminal=True))
    assert one.create().failed
    assert one.id not in one.runtime.known()


# The program.


@pytest.fixture(scope="module")
def inside(shared: Scope) -> dict[str, str]:
    """What one process with much configured sees of itself."""
    parts = {
        "cwd": "pwd",
        "env": "tr '\\0' '\\n' < /proc/1/environ",
        "id": "id -u; id -g; id -G",
        "umask": "umask",
        "hostname": "hostname; cat /proc/sys/kernel/hostname",
    }
    return shared.look(
        parts,
        process(
            cwd="/home",
            env=[PATH, "PLAIN=value", "SPACED=a b", "EMPTY=", "EQUAL=a=b"],
            user={"uid": 0, "gid": 7, "umask": 0o027, "additionalGids": [5, 6, 1000]},
        ),
    )


@clause("config.md#process", DEFINED, "cwd is the working directory")
def test_cwd(inside: dict[str, str]) -> None:
    assert inside["cwd"] == "/home"


@clause("config.md#process", MUST, "cwd is an absolute path; another is an error")
@pytest.mark.parametrize("cwd", ["relative", ""])
def test_cwd_is_absolute(box: Scope, cwd: str) -> None:
    assert box(process(cwd=cwd)).create().failed


@clause("config.md#process", DEFINED, "env is exactly the environment")
def test_env(inside: dict[str, str]) -> None:
    words = set(inside["env"].splitlines())
    assert words - {"HOME=/root", "HOME=/"} == {PATH, "PLAIN=value", "SPACED=a b", "EMPTY=", "EQUAL=a=b"}


@clause("config.md#process", DEFINED, "args is the argument vector, empty words included")
def test_args(box: Scope) -> None:
    one = box(args("/bin/sh", "-c", "tr '\\0' '|' < /proc/$$/cmdline; true", "zero", "", "a b", "*"))
    assert one.run().out.endswith("|zero||a b|*|")


@clause("config.md#process", MUST, "the first of args is looked up in PATH, as execvp does")
def test_args_in_path(box: Scope) -> None:
    one = box(args("own-program"), process(env=["PATH=/nowhere:/home:/bin"]))
    program = one.bundle.rootfs / "home/own-program"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert one.run().out == "found\n"


@clause("config.md#process", MUST, "args has at least one entry")
@pytest.mark.parametrize("words", [[], None])
def test_args_are_required(box: Scope, words: list[str] | None) -> None:
    assert box(process(args=words)).create().failed


# The user.


@pytest.mark.parametrize(
    ("line", "told"),
    cases(
        "config.md#posix-platform-user",
        DEFINED,
        ("uid", "uid", 0, "0"),
        ("gid", "gid", 1, "7"),
    ),
)
def test_ids(inside: dict[str, str], line: int, told: str) -> None:
    assert inside["id"].splitlines()[line] == told


@clause("config.md#posix-platform-user", DEFINED, "additionalGids are the supplementary groups")
def test_additional_gids(inside: dict[str, str]) -> None:
    assert set(inside["id"].splitlines()[2].split()) == {"7", "5", "6", "1000"}


@clause("config.md#posix-platform-user", DEFINED, "without additionalGids there are no supplementary groups")
def test_no_additional_gids(box: Scope) -> None:
    status = box.look({"status": "cat /proc/1/status"}, process(user={"uid": 3, "gid": 4}))["status"]
    assert status_field(status, "Groups") == ""
    assert status_field(status, "Uid").split() == ["3"] * 4
    assert status_field(status, "Gid").split() == ["4"] * 4


@clause("config.md#posix-platform-user", DEFINED, "umask is the process's mask")
def test_umask(inside: dict[str, str]) -> None:
    assert int(inside["umask"], 8) == 0o027


@clause("config.md#posix-platform-user", SHOULD_NOT, "without umask the caller's mask is not changed")
@pytest.mark.parametrize("caller", [0o022, 0o077])
def test_umask_of_the_caller(box: Scope, caller: int) -> None:
    assert int(box.look({"umask": "umask"}, umask=caller)["umask"], 8) == caller


# Names of the machine.


@clause("config.md#hostname", DEFINED, "hostname is the container's name")
def test_hostname(inside: dict[str, str]) -> None:
    assert inside["hostname"].split() == ["conformance", "conformance"]


@clause("config.md#domainname", DEFINED, "domainname is the container's domain name")
def test_domainname(box: Scope) -> None:
    one = box.look({"name": "cat /proc/sys/kernel/domainname"}, top(domainname="example.test"))
    assert one["name"] == "example.test"


@clause("config.md#hostname", DEFINED, "the machine's own name is not changed")
def test_hostname_of_the_machine(box: Scope) -> None:
    before = os.uname().nodename
    box(top(hostname="elsewhere")).run()
    assert os.uname().nodename == before


# What is left open.

OPEN = "n=0; while test $n -lt 64; do test -e /proc/1/fd/$n && echo $n; n=$((n + 1)); done"


@clause("runtime-linux.md#file-descriptors", DEFINED, "only the three streams are open")
def test_descriptors(box: Scope) -> None:
    assert box(shell(OPEN)).run().out.split() == ["0", "1", "2"]


@clause(
    "runtime-linux.md#file-descriptors", DEFINED, "a descriptor of the caller that was left open does not come along"
)
def test_descriptors_of_the_caller(box: Scope, yard: Yard) -> None:
    with (yard.folder("data") / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        one = box(shell(OPEN))
        assert one.run(pass_fds=(file.fileno(),)).out.split() == ["0", "1", "2"]


@clause("runtime-linux.md#file-descriptors", MUST, "the streams are the caller's")
def test_streams(box: Scope, yard: Yard) -> None:
    source = yard.folder("data") / "in"
    source.write_text("from the caller\n")
    with source.open("rb") as stdin:
        done = box(shell("cat; echo to stderr >&2")).run(stdin=stdin)
    assert (done.out, done.err) == ("from the caller\n", "to stderr\n")


@pytest.mark.parametrize(
    ("link", "target"),
    cases(
        "runtime-linux.md#dev-symbolic-links",
        MUST,
        *(
            (link, f"{link} → {target}", link, target)
            for link, target in [
                ("/dev/fd", "/proc/self/fd"),
                ("/dev/stdin", "/proc/self/fd/0"),
                ("/dev/stdout", "/proc/self/fd/1"),
                ("/dev/stderr", "/proc/self/fd/2"),
            ]
        ),
    ),
)
def test_dev_links(links: dict[str, str], link: str, target: str) -> None:
    assert links[link] == target


@pytest.fixture(scope="module")
def links(shared: Scope) -> dict[str, str]:
    """Where /dev's links lead."""
    names = ("/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/ptmx")
    return shared.look({name: f"readlink {name}" for name in names})


@clause("runtime.md#create", MUST, "the process's other properties hold for the program that start runs")
def test_properties_after_start(box: Scope, yard: Yard) -> None:
    folder = yard.folder("told")
    one = box(
        shell("{ pwd; id -u; umask; } > /told/file"),
        mounts(bind("/told", folder)),
        process(cwd="/tmp", user={"uid": 0, "gid": 0, "umask": 0o077}),
    )
    one.made().started().ended()
    assert (folder / "file").read_text().split() == ["/tmp", "0", "0077"]
