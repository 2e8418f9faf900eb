from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import pytest

from runtime.lab import CAPABILITIES, SETS, Lab, Output, exists, finish, launcher, play, run
from wherry.runtime.launcher import StartFailed

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("args", "code", "stdout", "stderr"),
    [
        (["true"], 0, b"", b""),
        (["sh", "-c", "echo out; echo err >&2; exit 3"], 3, b"out\n", b"err\n"),
        (["sh", "-c", "kill -TERM $$; sleep 5"], 0, b"", b""),
        (["hostname"], 0, b"lab\n", b""),
        (["sh", "-c", "echo $HOME; pwd; id -u; umask"], 0, b"/root\n/\n0\n0022\n", b""),
    ],
)
def test_a_program_runs_and_its_code_and_streams_come_back(lab: Lab, args, code, stdout, stderr):
    """Exit codes, both streams and the environment are the program's own."""
    if args[-1].startswith("kill"):
        args = ["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]
        code = 143

    async def work():
        async with launcher() as runtime:
            status, out, err = await finish(await runtime.launch(lab.request(*args), attach=True))
            assert (status.code, out, err) == (code, stdout, stderr if code != 143 else err)
            assert not status.oom_killed

    play(work())


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["foo"], 127, 'exec: "foo": executable file not found in $PATH'),
        (["/nope"], 127, 'exec: "/nope": stat /nope: no such file or directory'),
        (["/etc/plain"], 126, 'exec: "/etc/plain": permission denied'),
        (["/etc"], 126, 'exec: "/etc": is a directory'),
    ],
)
def test_a_program_that_cannot_run_is_refused_in_runcs_words(lab: Lab, args, code, message):
    """The message and the code that Docker makes of it; nothing is left."""

    async def work():
        async with launcher() as runtime:
            with pytest.raises(StartFailed) as caught:
                await runtime.launch(lab.request(*args), attach=False)
            assert (caught.value.code, caught.value.message, caught.value.engine) == (code, message, False)
            assert not (lab.directory / "c/bundle/shim.json").exists()

    play(work())


def test_a_file_that_the_kernel_cannot_run_ends_the_container(lab: Lab):
    """As under runc: started, and ended with the reason on its stderr."""
    upper = lab.directory / "c/upper"
    upper.mkdir(parents=True)
    for name, text in (("data", "hello"), ("script", "#!/no/interpreter\n")):
        (upper / name).write_text(text)
        (upper / name).chmod(0o755)

    async def work():
        async with launcher() as runtime:
            for name, reason in (("data", "exec format error"), ("script", "no such file or directory")):
                status, _, err = await finish(await runtime.launch(lab.request(f"/{name}"), attach=True))
                assert (status.code, err) == (1, f"exec /{name}: {reason}\n".encode())

    play(work())


def test_an_unknown_user_is_refused_as_the_engine_would(lab: Lab):
    """Docker's daemon says this itself, so no runtime's words go in front."""

    async def work():
        async with launcher() as runtime:
            with pytest.raises(
                StartFailed, match="unable to find user nosuch: no matching entries in passwd file"
            ) as caught:
                await runtime.launch(lab.request("true", user="nosuch"), attach=False)
            assert caught.value.engine

    play(work())


def test_users_groups_and_capabilities(lab: Lab):
    """A user by name has its groups and home; a non-root user has no effective capability (S5)."""

    async def work():
        async with launcher() as runtime:
            script = "id -u; id -g; id -G; echo $HOME; grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2"
            request = lab.request("sh", "-c", script, user="user", group_add=("7",))
            _, out, _ = await finish(await runtime.launch(request, attach=True))
            assert out.decode().split("\n")[:4] == ["1000", "1000", "1000 7 2000", "/home/user"]
            assert set(out.decode().split("\n")[4:8]) == {"0" * 16}

    play(work())


def test_a_missing_working_directory_is_made_and_a_file_is_refused(lab: Lab):
    """As Docker does for WORKDIR."""

    def directory(path):
        return lambda spec: spec["process"].update(cwd=path)

    async def work():
        async with launcher() as runtime:
            _, out, _ = await finish(await runtime.launch(lab.request("pwd", edit=directory("/a/b")), attach=True))
            assert out == b"/a/b\n"
            with pytest.raises(StartFailed, match="Cannot mkdir: /etc/plain is not a directory"):
                await runtime.launch(lab.request("pwd", edit=directory("/etc/plain")), attach=True)

    play(work())


def test_a_large_output_arrives_whole_and_is_logged_whole(lab: Lab):
    """R11: nothing is lost between a fast exit and the last byte."""

    async def work():
        async with launcher() as runtime:
            _, out, _ = await finish(await runtime.launch(lab.request("seq", "1", "60000"), attach=True))
            expected = "".join(f"{n}\n" for n in range(1, 60001)).encode()
            assert out == expected
            log = (lab.directory / "c/log").read_text().splitlines()
            assert "".join(json.loads(line)["log"] for line in log).encode() == expected

    play(work())


def test_fast_exits_lose_nothing(lab: Lab):
    """R11, many times."""

    async def work():
        async with launcher() as runtime:
            for _ in range(30):
                _, out, _ = await finish(await runtime.launch(lab.request("seq", "1", "100"), attach=True))
                assert out == "".join(f"{n}\n" for n in range(1, 101)).encode()

    play(work())


def test_stdin_reaches_the_program_and_ends(lab: Lab):
    """Input larger than the window goes through, half-close ends it, output comes back byte-exact."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("cat", stdin=True), attach=True)
            output = Output()
            await shim.subscribe(output)
            data = os.urandom(700_000)
            await shim.write_stdin(data)
            await shim.close_stdin()
            assert (await shim.wait()).code == 0
            assert output.streams[1] == data

    play(work())


def test_input_for_a_program_that_does_not_read_is_dropped_at_its_end(lab: Lab):
    """A writer that waits for the window is released when the program ends."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "0.3", stdin=True), attach=False)
            await shim.write_stdin(bytes(3_000_000))
            assert (await shim.wait()).code == 0

    play(work())


def test_a_terminal(lab: Lab):
    """A terminal of the container's own devpts, controlling, of the size asked for, resizable."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sh", tty=True, stdin=True), attach=True)
            output = Output()
            await shim.subscribe(output)
            await shim.write_stdin(b"stty size; tty; ls -l /dev/console | cut -c1-10; stty -echo; echo rea''dy\n")
            await output.until(b"ready\r\n")
            assert b"24 80" in output.streams[1]
            assert b"/dev/console" in output.streams[1] or b"/dev/pts/0" in output.streams[1]
            assert b"crw" in output.streams[1]
            await shim.resize(40, 100)
            await shim.write_stdin(b"sleep 0.1; stty size; exit 7\n")
            assert (await shim.wait()).code == 7
            assert b"40 100" in output.streams[1]

    play(work())


def test_a_signal_ends_it_with_128_and_its_number(lab: Lab):
    """SIGKILL is 137; a signal to a program that has ended says so."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(lab.request("sleep", "100"), attach=False)
            assert await shim.signal(9)
            assert (await shim.wait()).code == 137
            assert not await shim.signal(9)

    play(work())


def test_with_init_signals_are_forwarded_and_orphans_reaped(lab: Lab):
    """Process 1 is ours, passes signals on and reaps; the program's code comes back."""

    async def work():
        async with launcher() as runtime:
            script = "(sleep 0.1 &); sleep 0.4; cat /proc/1/comm; cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z;"
            script += "trap 'exit 9' TERM; echo up; sleep 100 & wait"
            shim = await runtime.launch(lab.request("sh", "-c", script, init=True), attach=True)
            output = Output()
            await shim.subscribe(output)
            await output.until(b"up\n")
            await shim.signal(15)
            assert (await shim.wait()).code == 9
            assert output.streams[1].startswith(b"wherry-init\n0\n")

    play(work())


def test_process_1_of_ours_shows_nothing_of_the_host(lab: Lab):
    """S1: with --init the interpreter is in the container; its root can neither trace it nor reach its files."""

    async def work():
        async with launcher() as runtime:
            script = "tr -d '\\0' </proc/1/cmdline; echo; readlink /proc/1/exe || ls /proc/1/root || echo no"
            _, out, _ = await finish(await runtime.launch(lab.request("sh", "-c", script, init=True), attach=True))
            assert out == b"wherry-init\nno\n"

    play(work())


def test_the_container_sees_only_what_it_should(lab: Lab):
    """Three descriptors, masked and read-only paths, no_new_privs as asked, a private mount tree."""

    def confine(spec):
        spec["process"]["noNewPrivileges"] = True
        spec["root"]["readonly"] = True

    async def work():
        async with launcher() as runtime:
            script = (
                "ls /proc/self/fd | wc -l; cat /proc/keys | wc -c; touch /proc/sys/kernel/hostname 2>&1; touch /x 2>&1;"
                "grep NoNew /proc/self/status | cut -f2; ls /dev/null -l | cut -c1-10"
            )
            _, out, _ = await finish(await runtime.launch(lab.request("sh", "-c", script, edit=confine), attach=True))
            lines = out.decode().splitlines()
            assert lines[0] == "4"  # 0, 1, 2 and the directory that ls reads
            assert lines[1] == "0"
            assert "Read-only" in lines[3]
            assert lines[4:] == ["1", "crw-rw-rw-"]

    play(work())


def test_bind_mounts_read_only_and_on_a_dangling_link(lab: Lab):
    """A file and a directory; ``ro`` holds; a target through the image's links stays in the root (S3)."""
    source = lab.directory / "source"
    source.mkdir()
    (source / "file").write_text("hello\n")
    upper = lab.directory / "c/upper"
    upper.mkdir(parents=True)
    (upper / "link").symlink_to("/../../../../far/away")

    def mounts(spec):
        spec["mounts"] += [
            {"destination": "/data", "type": "bind", "source": str(source), "options": ["rbind", "ro", "rprivate"]},
            {"destination": "/link/file", "type": "bind", "source": str(source / "file"), "options": ["bind"]},
        ]

    async def work():
        async with launcher() as runtime:
            script = "cat /data/file /far/away/file; touch /data/x 2>&1"
            _, out, _ = await finish(await runtime.launch(lab.request("sh", "-c", script, edit=mounts), attach=True))
            assert out == b"hello\nhello\ntouch: /data/x: Read-only file system\n"
            assert not exists("/far")

    play(work())


def test_the_mode_of_a_tmpfs(lab: Lab):
    """The covered directory's own, the kernel's default where there was none, what is asked for before both."""
    upper = lab.directory / "c/upper"
    (upper / "srv").mkdir(parents=True)
    (upper / "srv").chmod(0o2750)
    (upper / "link").symlink_to("/not/there")

    def mounts(spec):
        for target, options in (
            ("/srv", []),
            ("/new/dir", ["nosuid"]),
            ("/link", []),
            ("/etc", ["mode=700"]),
            ("/other", ["size=64k", "mode=0711"]),
        ):
            spec["mounts"].append({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options})

    async def work():
        async with launcher() as runtime:
            request = lab.request("stat", "-c", "%a", "/srv", "/new/dir", "/not/there", "/etc", "/other", edit=mounts)
            _, out, _ = await finish(await runtime.launch(request, attach=True))
            assert out.split() == [b"2750", b"1777", b"1777", b"700", b"711"]

    play(work())


def test_a_proc_behind_a_link_is_refused(lab: Lab):
    """CVE-2019-19921: the kernel's own file systems are mounted on plain directories only."""
    upper = lab.directory / "c/upper"
    upper.mkdir(parents=True)
    (upper / "proc").symlink_to("/tmp")

    async def work():
        async with launcher() as runtime:
            with pytest.raises(StartFailed, match="must be mounted on ordinary directory"):
                await runtime.launch(lab.request("true"), attach=False)

    play(work())


def test_a_slow_subscriber_holds_the_program_back_and_nothing_is_lost(lab: Lab):
    """The shim stops reading at its backlog; what the sink takes late is still complete."""

    async def work():
        async with launcher() as runtime:
            shim = await runtime.launch(
                lab.request("sh", "-c", "head -c 6000000 /dev/zero; echo done >&2", log=None), attach=True
            )
            gate = asyncio.Event()
            total = {1: 0, 2: 0}

            async def slow(stream: int, data: bytes) -> None:
                await gate.wait()
                total[stream] += len(data)

            await shim.subscribe(slow)
            await asyncio.sleep(0.5)
            assert shim.status is None
            gate.set()
            assert (await shim.wait()).code == 0
            assert total == {1: 6_000_000, 2: 5}

    play(work())


def test_many_at_once(lab: Lab):
    """Launches do not get into each other's way."""

    async def work():
        async with launcher() as runtime:

            async def one(number: int) -> None:
                request = lab.request("sh", "-c", f"echo {number}; exit {number}", name=f"c{number}")
                status, out, _ = await finish(await runtime.launch(request, attach=True))
                assert (status.code, out) == (number, f"{number}\n".encode())

            await asyncio.gather(*(one(number) for number in range(20)))

    play(work())


def test_the_same_container_again_and_again(lab: Lab):
    """Nothing of a run is left when its end is reported: the next may start at once."""

    async def work():
        async with launcher() as runtime:
            for code in range(8):
                shim = await runtime.launch(lab.request("sh", "-c", f"exit {code}"), attach=False)
                assert (await shim.wait()).code == code

    play(work())


def test_shared_pid_namespaces(lab: Lab):
    """The host's and another container's; what is left behind in them ends with the container."""

    def host(spec):
        spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "pid"]

    async def work():
        async with launcher() as runtime:
            script = "sleep 987 & echo $$ $!"
            shim = await runtime.launch(lab.request("sh", "-c", script, edit=host), attach=True)
            status, out, _ = await finish(shim)
            own, left = map(int, out.split())
            assert (status.code, own) == (0, shim.pid)
            assert not exists(f"/proc/{left}")

            first = await runtime.launch(lab.request("sleep", "100", name="first"), attach=False)

            def join(spec):
                entry = next(entry for entry in spec["linux"]["namespaces"] if entry["type"] == "pid")
                entry["path"] = f"/proc/{first.pid}/ns/pid"

            second = await runtime.launch(lab.request("cat", "/proc/1/comm", name="second", edit=join), attach=True)
            assert (await finish(second))[1] == b"sleep\n"
            await first.signal(9)
            await first.wait()

    play(work())


def test_out_of_memory_is_reported(lab: Lab):
    """137 and the flag."""

    def limit(spec):
        spec["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}

    async def work():
        async with launcher() as runtime:
            request = lab.request("sh", "-c", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", edit=limit)
            status = await (await runtime.launch(request, attach=False)).wait()
            assert (status.code, status.oom_killed) == (137, True)

    play(work())


def test_resources_that_cannot_be_had_are_a_clear_error(lab: Lab):
    """A hard limit beyond the host's, a sysctl that does not exist, a missing mount source."""

    def cases():
        yield (
            "RLIMIT",
            lambda spec: spec["process"].update(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 40}]),
        )
        yield "/proc/sys/net/foo: no such file", lambda spec: spec["linux"].update(sysctl={"net.foo": "1"})
        yield (
            "/no/such: no such file",
            lambda spec: spec["mounts"].append(
                {"destination": "/x", "type": "bind", "source": "/no/such", "options": ["rbind"]}
            ),
        )
        yield (
            "inside /proc",
            lambda spec: spec["mounts"].append(
                {"destination": "/proc/self/x", "type": "bind", "source": "/etc", "options": ["rbind"]}
            ),
        )

    async def work():
        async with launcher() as runtime:
            for text, edit in cases():
                with pytest.raises(StartFailed) as caught:
                    await runtime.launch(lab.request("true", edit=edit), attach=False)
                assert (
                    text.replace("RLIMIT", "error setting rlimit type 7: operation not permitted")
                    in caught.value.message
                )

    play(work())


def test_shared_propagation_reaches_the_host(lab: Lab):
    """``rshared``: what the container mounts below the bind is seen outside; without it, it is not."""
    source = lab.directory / "source"
    (source / "below").mkdir(parents=True)
    run("mount", "--bind", source, source)
    run("mount", "--make-shared", source)

    def mounts(*options):
        def edit(spec):
            for kind in SETS:
                spec["process"]["capabilities"][kind] = [*CAPABILITIES, "CAP_SYS_ADMIN"]
            entry = {"destination": "/data", "type": "bind", "source": str(source), "options": ["rbind", *options]}
            spec["mounts"].append(entry)

        return edit

    async def work():
        async with launcher() as runtime:
            script = "mount -t tmpfs none /data/below && touch /data/below/x; grep -c /data /proc/self/mountinfo"
            for options, seen in ((("rprivate",), False), (("rshared",), True), (("rslave",), False)):
                request = lab.request("sh", "-c", script, edit=mounts(*options))
                status, out, err = await finish(await runtime.launch(request, attach=True))
                assert (status.code, out, err) == (0, b"2\n", b"")
                assert (source / "below/x").exists() is seen
                if seen:
                    run("umount", source / "below")

    try:
        play(work())
    finally:
        run("umount", source)


def test_more_layers_than_a_page_of_names(lab: Lab):
    """mount(2) takes one page of options; a hundred layers with long names are more."""
    layers = []
    for number in range(100):
        layer = lab.directory / "layers" / f"{number:064x}" / "diff"
        layer.mkdir(parents=True)
        (layer / f"f{number}").touch()
        layers.append(str(layer))

    async def work():
        async with launcher() as runtime:
            request = lab.request("sh", "-c", "ls / | grep -c ^f")
            request = replace(request, root=replace(request.root, lower=(*layers, *request.root.lower)))
            assert (await finish(await runtime.launch(request, attach=True)))[1] == b"100\n"

    play(work())
