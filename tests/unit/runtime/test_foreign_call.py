"""What another runtime's failure becomes: containerd's and dockerd's words, and the exit code read out of them."""

from __future__ import annotations

import os

import pytest

from wherry.runtime.foreign_call import Call, in_docker_words, last_error
from wherry.runtime.init_errors import StartError


def test_the_last_error_of_a_log_counts():
    """Warnings, half lines and what is no JSON are passed over, as containerd does."""
    log = (
        b'{"level":"warning","msg":"careful","time":"t"}\n'
        b'{"level":"error","msg":"first","time":"t"}\n'
        b"plain text\n"
        b'{"level":"error","msg":" runc create failed: second ","time":"t"}\n'
        b'{"level":"info","msg":"later"}\n'
        b'{"level":"error","ms'
    )
    assert last_error(log) == "runc create failed: second"
    assert last_error(b"") == ""
    assert last_error(b'["error"]\n"error"\n') == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ('exec: "x": executable file not found in $PATH: unknown', 127),
        ("chdir `/nodir`: No such file or directory: unknown", 127),
        ('exec: "/etc": permission denied: unknown', 126),
        ("something else: unknown", 128),
    ],
)
def test_the_exit_code_is_read_out_of_the_words(words, code):
    error = in_docker_words(words)
    assert (str(error), error.code, error.engine) == (words, code, True)


def test_a_mount_of_the_wrong_kind_gets_dockers_hint():
    error = in_docker_words("mounting a to b: not a directory: unknown")
    assert error.code == 127
    assert str(error).startswith("mounting a to b: not a directory: unknown: Are you trying to mount a directory onto")


def run(tmp_path, script, *, prepare=None):
    command = tmp_path / "runtime"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return attempt([str(command)], tmp_path, prepare=prepare)


def attempt(words, tmp_path, *, prepare=None):
    call = Call(words, log=str(tmp_path / "log"), doing="OCI runtime create failed")
    call.fork((), prepare)
    call.wait()


def test_a_command_that_succeeds(tmp_path):
    run(tmp_path, "exit 0")


def test_a_failure_is_what_the_log_says(tmp_path):
    script = f"""echo '{{"level":"error","msg":"no such thing"}}' > {tmp_path}/log; exit 1"""
    with pytest.raises(StartError, match=r"^OCI runtime create failed: no such thing: unknown$"):
        run(tmp_path, script)


def test_a_failure_without_a_log(tmp_path):
    """The words that users of misconfigured runtimes know from Docker."""
    with pytest.raises(StartError) as failure:
        run(tmp_path, "exit 3")
    assert str(failure.value) == (
        f"OCI runtime create failed: unable to retrieve OCI runtime error (open {tmp_path}/log: no such file or "
        f"directory): {tmp_path}/runtime did not terminate successfully: exit status 3: unknown"
    )


def test_a_command_that_is_killed(tmp_path):
    with pytest.raises(StartError, match=r"did not terminate successfully: signal: 9: unknown$"):
        run(tmp_path, "kill -9 $$")


def test_a_command_that_is_not_there(tmp_path):
    with pytest.raises(StartError, match=r"fork/exec /no/such: no such file or directory: unknown$") as failure:
        attempt(["/no/such"], tmp_path)
    assert failure.value.code == 127
    with pytest.raises(StartError, match=r'exec: "such": executable file not found in \$PATH: unknown$'):
        attempt(["such"], tmp_path)


def test_what_fails_before_the_command_is_said_as_it_is(tmp_path):
    def prepare():
        raise StartError("unable to find user x", code=128, engine=True)

    with pytest.raises(StartError) as failure:
        run(tmp_path, "exit 0", prepare=prepare)
    assert (str(failure.value), failure.value.engine) == ("unable to find user x", True)


def test_the_command_gets_nothing_of_ours(tmp_path):
    """No descriptor but the standard ones, no variable, default signals: it hands them on to containers."""
    os.environ["WHERRY_SECRET"] = "x"
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    shown = {"fds": "ls /proc/self/fd", "env": "env", "ignored": "grep SigIgn /proc/self/status"}
    try:
        run(tmp_path, "\n".join(f"{command} > {tmp_path}/{name}" for name, command in shown.items()))
    finally:
        os.close(leak)
        del os.environ["WHERRY_SECRET"]
    assert (tmp_path / "fds").read_text().split() == ["0", "1", "2", "3"]  # 3 is the listing's own
    assert "WHERRY_SECRET" not in (tmp_path / "env").read_text()
    assert (tmp_path / "ignored").read_text().split()[1] == "0" * 16


def test_a_command_can_be_killed_half_way(tmp_path):
    command = tmp_path / "slow"
    command.write_text("#!/bin/sh\nexec sleep 1000\n")
    command.chmod(0o755)
    call = Call([str(command)], log="", doing="")
    call.fork()
    pid = call._pid
    call.kill()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
