from __future__ import annotations

import asyncio

import pytest

from runtime.lab import Lab, Output, finish, launcher, play
from wherry.runtime.launcher import StartFailed

pytestmark = pytest.mark.root


def test_exec_joins_the_container(lab: Lab):
    """Namespaces, root, cgroup and pid numbers are the container's."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            script = (
                "hostname; cat /proc/1/comm; cut -d: -f3 /proc/self/cgroup | sort -u; readlink /proc/self/cwd; exit 4"
            )
            status, out, err = await finish(await runtime.exec(lab.exec_request(shim, "sh", "-c", script), attach=True))
            assert (status.code, err) == (4, b"")
            assert out.decode().splitlines() == ["lab", "sleep", "/", "/"]
            await shim.signal(9)
            await shim.wait()

    play(work())


@pytest.mark.parametrize(
    ("args", "options", "code", "message"),
    [
        (["foo"], {}, 127, 'exec: "foo": executable file not found in $PATH'),
        (
            ["true"],
            {"cwd": "/nope"},
            127,
            'chdir to cwd ("/nope") set in config.json failed: no such file or directory',
        ),
        (["true"], {"user": "nosuch"}, 128, "unable to find user nosuch: no matching entries in passwd file"),
        (["true"], {"cwd": "/proc/self/fd/7"}, 127, 'chdir to cwd ("/proc/self/fd/7") set in config.json failed'),
    ],
)
def test_an_exec_that_cannot_run_is_refused(lab: Lab, args, options, code, message):
    """In runc's words; CVE-2024-21626: no descriptor of ours is there to be entered."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            with pytest.raises(StartFailed) as caught:
                await runtime.exec(lab.exec_request(shim, *args, **options), attach=False)
            assert caught.value.code == code
            assert caught.value.message.startswith(message)
            await shim.signal(9)
            await shim.wait()

    play(work())


def test_exec_with_a_terminal_and_as_a_user(lab: Lab):
    """A terminal of the container's devpts, owned by the user."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            request = lab.exec_request(
                shim, "sh", "-c", "stty size; tty; id -un; echo hi >/dev/tty", tty=True, user="user"
            )
            status, out, _ = await finish(await runtime.exec(request, attach=True))
            assert status.code == 0
            assert out.decode().split("\r\n")[:4] == ["24 80", "/dev/pts/0", "user", "hi"]
            await shim.signal(9)
            await shim.wait()

    play(work())


def test_exec_stdin(lab: Lab):
    """``exec -i`` with half-close."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            copy = await runtime.exec(lab.exec_request(shim, "cat", stdin=True), attach=True)
            output = Output()
            await copy.subscribe(output)
            await copy.write_stdin(b"x" * 100_000)
            await copy.close_stdin()
            assert (await copy.wait()).code == 0
            assert output.streams[1] == b"x" * 100_000
            await shim.signal(9)
            await shim.wait()

    play(work())


def test_an_exec_ends_although_a_background_child_holds_its_output(lab: Lab):
    """As in Docker: shortly after the program itself."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            started = asyncio.get_running_loop().time()
            request = lab.exec_request(shim, "sh", "-c", "sleep 60 & echo gone")
            status, out, _ = await finish(await runtime.exec(request, attach=True))
            assert (status.code, out) == (0, b"gone\n")
            assert asyncio.get_running_loop().time() - started < 5
            await shim.signal(9)
            await shim.wait()

    play(work())


def test_the_containers_end_is_its_execs_end(lab: Lab):
    """137, as the kernel kills what is left in the pid namespace."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            further = await runtime.exec(lab.exec_request(shim, "sleep", "100"), attach=False)
            await shim.signal(9)
            assert (await further.wait()).code == 137
            assert (await shim.wait()).code == 137
            with pytest.raises(StartFailed, match="not running"):
                await runtime.exec(lab.exec_request(shim, "true", name="late"), attach=False)

    play(work())
