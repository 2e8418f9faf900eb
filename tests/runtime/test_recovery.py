from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.lab import Lab, Output, finish, launcher, play
from wherry.linux import pidfd
from wherry.runtime.launcher import Shim
from wherry.runtime.model import ExitStatus

pytestmark = pytest.mark.root

DAEMON = """
import asyncio, json, sys
from pathlib import Path
from wherry.runtime.launcher import Launcher
from wherry.runtime.model import JsonLog, LaunchRequest, OverlayRoot, Stdio

async def main():
    launcher = Launcher()
    await launcher.start()
    for text in sys.argv[1:]:
        fields = json.loads(text)
        request = LaunchRequest(
            id=fields["id"], bundle=Path(fields["bundle"]), spec=fields["spec"], root=OverlayRoot(**fields["root"]),
            stdio=Stdio(**fields["stdio"]), log=JsonLog(**fields["log"]),
        )
        await launcher.launch(request, attach=True)
    print("running", flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""


def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def start_daemon(*requests) -> subprocess.Popen[bytes]:
    """A daemon of its own process that launches ``requests`` and then only waits to be killed."""
    arguments = [
        json.dumps(
            {
                "id": request.id,
                "bundle": str(request.bundle),
                "spec": request.spec,
                "root": {name: getattr(request.root, name) for name in ("lower", "upper", "work")},
                "stdio": {"stdin": request.stdio.stdin, "tty": request.stdio.tty},
                "log": {"path": request.log.path, "max_size": -1, "max_files": 1},
            }
        )
        for request in requests
    ]
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, *arguments],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": os.environ["PATH"]},
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == b"running\n"
    return daemon


def test_a_killed_daemon_leaves_containers_running_and_they_are_found_again(lab: Lab):
    """R1, R2: one runs on and is attached to, one has ended meanwhile; codes and log lines are all there."""
    script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.05; done; read x; echo got $x; exit 5"
    living = lab.request("sh", "-c", script, name="living", stdin=True)
    ending = lab.request("sh", "-c", "sleep 0.5; exit 6", name="ending")
    daemon = start_daemon(living, ending)
    time.sleep(0.2)
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    time.sleep(1)

    async def work():
        async with launcher() as runtime:
            assert await runtime.adopt(lab.directory / "nothing") is None
            ended = await runtime.adopt(ending.bundle)
            assert isinstance(ended, ExitStatus)
            assert ended.code == 6
            shim = await runtime.adopt(living.bundle)
            assert isinstance(shim, Shim)
            output = Output()
            await shim.subscribe(output)
            _, out, _ = await finish(await runtime.exec(lab.exec_request(shim, "hostname"), attach=True))
            assert out == b"lab\n"
            await output.until(b"line 39\n")
            await shim.write_stdin(b"it\n")
            assert (await shim.wait()).code == 5
            assert output.streams[1].endswith(b"got it\n")
            lines = [json.loads(line)["log"] for line in lines_of(living.log.path)]
            assert lines == [f"line {n}\n" for n in range(40)] + ["got it\n"]

    play(work())


def test_a_closed_launcher_leaves_containers_running(lab: Lab):
    """An orderly restart."""

    async def work():
        async with launcher() as first:
            request = lab.request("sleep", "100")
            pid = (await first.launch(request, attach=False)).pid
        async with launcher() as second:
            shim = await second.adopt(request.bundle)
            assert isinstance(shim, Shim)
            assert shim.pid == pid
            await shim.signal(15)
            await shim.signal(9)
            assert (await shim.wait()).code == 137
            found = await second.adopt(request.bundle)
            assert isinstance(found, ExitStatus)

    play(work())


def test_a_killed_zygote_is_replaced_and_no_container_notices(lab: Lab):
    """The next launch works, and the running one still answers."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("cat", stdin=True), attach=True)
            for _ in range(2):
                os.kill(runtime.zygote_pid, signal.SIGKILL)
                status, out, _ = await finish(
                    await runtime.launch(lab.request("echo", "hi", name="second"), attach=True)
                )
                assert (status.code, out) == (0, b"hi\n")
            output = Output()
            await shim.subscribe(output)
            await shim.write_stdin(b"still here\n")
            await output.until(b"still here\n")
            await shim.close_stdin()
            assert (await shim.wait()).code == 0

    play(work())


def test_a_killed_shim_ends_its_container_and_is_reported(lab: Lab):
    """R3: a container is never left without an owner; nothing of it stays."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            os.kill(shim.shim_pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                assert (await shim.wait()).code == 137
            assert pidfd.stat_fields(shim.pid)[:1] in ([], ["Z"])  # its reaper is the machine's process 1 now

    play(work())


def test_a_shim_killed_while_no_daemon_ran(lab: Lab):
    """Adoption finds the end, and cleans up."""

    async def work():
        async with launcher() as first:
            request = lab.request("sleep", "100")
            shim_pid = (await first.launch(request, attach=False)).shim_pid
        os.kill(shim_pid, signal.SIGKILL)
        async with launcher() as second:
            found = await second.adopt(request.bundle)
            assert isinstance(found, ExitStatus)
            assert found.code == 137

    play(work())


def test_a_stopped_shim_does_not_hide_its_containers_end(lab: Lab):
    """R3: with the shim stopped, signals still arrive and the state is right within five seconds."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(
                lab.request("sh", "-c", "trap 'exit 12' TERM; while :; do sleep 0.05; done"), attach=False
            )
            await asyncio.sleep(0.3)
            os.kill(shim.shim_pid, signal.SIGSTOP)
            await shim.resize(1, 1)
            assert await shim.signal(15)
            async with asyncio.timeout(5):
                assert (await shim.wait()).code == 12

    play(work())


def test_a_sink_that_stands_still_does_not_hide_the_end(lab: Lab):
    """A stalled client holds output back, not the truth; see also the shim's own log."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sh", "-c", "head -c 300000 /dev/zero; exit 3"), attach=True)

            async def never(_stream: int, _data: bytes) -> None:
                await asyncio.sleep(1000)

            await shim.subscribe(never)
            async with asyncio.timeout(6):
                assert (await shim.wait()).code == 3

    play(work())


def test_a_network_namespace_is_made_visited_and_dropped(lab: Lab):
    """The zygote goes there and comes back; a failed request leaves nothing and does not harm it."""
    path = lab.directory / "ns"

    async def work():
        async with launcher() as runtime:
            own = os.stat("/proc/self/ns/net").st_ino
            with await runtime.netns(path, create=True, sysctls={"net.ipv4.ip_unprivileged_port_start": "7"}) as made:
                assert os.fstat(made.ns_fd).st_ino not in (0, own)
                with await runtime.netns(path, create=False) as again:
                    assert os.fstat(again.ns_fd).st_ino == os.fstat(made.ns_fd).st_ino

                def join(spec):
                    spec["linux"]["namespaces"][-1]["path"] = str(path)

                script = ["cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]
                _, out, _ = await finish(await runtime.launch(lab.request(*script, edit=join), attach=True))
                assert out == b"7\n"
            with pytest.raises(FileExistsError):
                await runtime.netns(path, create=True)
            await runtime.drop_netns(path)
            await runtime.drop_netns(path)
            assert not path.exists()
            with pytest.raises(OSError, match="no_such"):
                await runtime.netns(path, create=True, sysctls={"net.no_such": "1"})
            assert not path.exists()

    play(work())


def test_the_interpreter_cannot_be_written_through_a_container(lab: Lab):
    """S1: a program that is /proc/self/exe runs the interpreter, whose file is read-only from there."""
    upper = lab.directory / "c/upper"
    upper.mkdir(parents=True)
    (upper / "evil").write_text("#!/proc/self/exe\n")
    (upper / "evil").chmod(0o755)

    async def work():
        async with launcher() as runtime:
            interpreter = f"/proc/{runtime.zygote_pid}/exe"
            fd = os.open(interpreter, os.O_PATH)
            os.kill(runtime.zygote_pid, signal.SIGKILL)
            await finish(await runtime.launch(lab.request("/evil"), attach=True))
            await asyncio.sleep(0.1)
            with pytest.raises(OSError, match=r"Read-only file system|Text file busy"):
                os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
            os.close(fd)

    play(work())


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


@pytest.mark.parametrize("patience", [0, 0.035, 0.2])
@pytest.mark.parametrize("kill", [False, True])
def test_the_spare_shim_goes_with_its_zygote(lab: Lab, kill, patience):
    """Whether it was waiting, or only being forked."""

    async def work():
        async with launcher() as runtime:
            await asyncio.sleep(patience)
            spares = descendants(runtime.zygote_pid)
            if patience == 0.2:
                assert len(spares) == 2
            if kill:
                os.kill(runtime.zygote_pid, signal.SIGKILL)
        async with asyncio.timeout(2):
            while any(pidfd.stat_fields(pid)[:1] not in ([], ["Z"]) for pid in spares):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    play(work())


def test_a_killed_spare_shim_is_not_missed(lab: Lab):
    """The launch that would have used it forks one."""

    async def work():
        async with launcher() as runtime:
            await asyncio.sleep(0.2)
            for pid in descendants(runtime.zygote_pid):
                os.kill(pid, signal.SIGKILL)
            assert (await finish(await runtime.launch(lab.request("echo", "hi"), attach=True)))[1] == b"hi\n"

    play(work())
