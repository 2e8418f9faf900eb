"""A small real backend: containers that are child programs on pipes, so that streams end as streams do."""

from __future__ import annotations

import asyncio
import base64

from wherry.lib.errors import Conflict, InvalidArgument, NotFound
from wherry.lib.filters import Filters
from wherry.logs.line import LogLine
from wherry.wire.container import (
    ContainerConfig,
    ContainerInspect,
    ContainerState,
    ContainerSummary,
    CreateResponse,
    HostConfig,
    NetworkSettings,
    PruneReport,
    StatsResponse,
    TopResponse,
)
from wherry.wire.exec import ExecCreate, ExecInspect, ProcessConfig


class Session:
    """One client at one program."""

    def __init__(self, command, *, tty=False, stdin=True, ends_with_input=False):
        self.command, self.tty, self.stdin_attached, self.ends_with_input = command, tty, stdin, ends_with_input
        self.process = None  # by open()
        self.closed = asyncio.Event()
        self.detached = False
        self.received = b""

    @classmethod
    async def open(cls, command, **options):
        session = cls(command, **options)
        pipe = asyncio.subprocess.PIPE
        session.process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        return session

    async def output(self):
        process = self.process
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(4)

        async def read(number, pipe):
            while data := await pipe.read(65536):
                await queue.put((number, data))
            await queue.put((number, b""))

        readers = [asyncio.create_task(read(1, process.stdout)), asyncio.create_task(read(2, process.stderr))]
        open_streams = 2
        try:
            while open_streams:
                number, data = await queue.get()
                if data:
                    yield number, data
                else:
                    open_streams -= 1
        finally:
            for reader in readers:
                reader.cancel()

    async def stdin(self, data):
        self.received += data
        if self.stdin_attached:
            self.process.stdin.write(data)
            await self.process.stdin.drain()

    async def close_stdin(self):
        if self.stdin_attached:
            self.process.stdin.close()

    async def close(self, *, detached=False):
        self.detached = detached
        if self.process.returncode is None:
            self.process.kill()
        self.process._transport.close()
        await self.process.wait()
        self.closed.set()


class Containers:
    """Backend of the container routes; every call is remembered."""

    def __init__(self):
        self.calls = []
        self.sessions = []
        self.terminals = set()
        self.command = ["cat"]
        self.ends_with_input = False
        self.lines = []
        self.exits: dict[str, asyncio.Future[int]] = {}

    def _known(self, key):
        if key == "nobody":
            raise NotFound(f"No such container: {key}")

    async def list(self, **options):
        self.calls.append(("list", options))
        return [
            ContainerSummary(
                id="1" * 64,
                names=["/x"],
                image="busybox",
                image_id="sha256:0",
                command="true",
                created=1,
                ports=[],
                labels={},
                state="running",
                status="Up 1 second",
                mounts=[],
            )
        ]

    async def create(self, request, *, name, platform):
        self.calls.append(("create", request, name, platform))
        return CreateResponse(id="2" * 64, warnings=["careful"])

    async def inspect(self, key, *, size):
        self._known(key)
        return ContainerInspect(
            id="3" * 64,
            created="2026-01-01T00:00:00Z",
            path="true",
            args=[],
            state=ContainerState(status="created"),
            image="sha256:0",
            name="/x",
            host_config=HostConfig(),
            mounts=[],
            config=ContainerConfig(),
            network_settings=NetworkSettings(),
            size_rw=7 if size else None,
            size_root_fs=9 if size else None,
        )

    async def rename(self, key, name):
        self.calls.append(("rename", key, name))

    async def remove(self, key, *, force, volumes):
        self._known(key)
        self.calls.append(("remove", key, force, volumes))

    async def prune(self, filters: Filters):
        self.calls.append(("prune", filters))
        return PruneReport()

    async def start(self, key):
        self._known(key)
        self.calls.append(("start", key))

    async def stop(self, key, **options):
        self.calls.append(("stop", key, options))

    async def restart(self, key, **options):
        self.calls.append(("restart", key, options))

    async def kill(self, key, **options):
        self.calls.append(("kill", key, options))

    async def pause(self, key):
        self.calls.append(("pause", key))

    async def unpause(self, key):
        self.calls.append(("unpause", key))

    def wait(self, key, condition):
        self._known(key)
        self.calls.append(("wait", key, condition))
        self.exits[key] = asyncio.get_running_loop().create_future()
        return asyncio.shield(self.exits[key])

    async def top(self, key, ps_args):
        self.calls.append(("top", key, ps_args))
        return TopResponse(titles=["PID", "CMD"], processes=[["1", "sleep 1"]])

    def has_terminal(self, key):
        self._known(key)
        return key in self.terminals

    async def _batches(self, options):
        wanted = {name for name in ("stdout", "stderr") if options[name]}
        if lines := [line for line in self.lines if isinstance(line, LogLine) and line.stream in wanted]:
            yield lines
        for line in self.lines:
            if isinstance(line, Exception):
                raise line

    def logs(self, key, **options):
        self._known(key)
        self.calls.append(("logs", key, options))
        return self._batches(options)

    async def attach(self, key, *, stdin, stdout, stderr):
        self._known(key)
        self.calls.append(("attach", key, stdin, stdout, stderr))
        tty = key in self.terminals
        session = await Session.open(self.command, tty=tty, stdin=stdin, ends_with_input=self.ends_with_input)
        self.sessions.append(session)
        return session

    async def resize(self, key, height, width):
        self.calls.append(("resize", key, height, width))

    async def stats(self, key, *, stream, one_shot):
        self._known(key)
        self.calls.append(("stats", key, stream, one_shot))
        for number in range(3 if stream else 1):
            yield StatsResponse(name="/x", id="4" * 64, num_procs=number)


class Execs:
    """Backend of the exec routes."""

    def __init__(self):
        self.configs: dict[str, ExecCreate] = {}
        self.started = []
        self.sessions = []
        self.sizes = []

    def create(self, _key, config):
        self.configs[f"{len(self.configs)}"] = config
        return f"{len(self.configs) - 1}"

    def config(self, exec_id):
        if exec_id not in self.configs:
            raise NotFound(f"No such exec instance: {exec_id}")
        return self.configs[exec_id]

    async def start(self, exec_id, options):
        if exec_id in self.started:
            raise Conflict(f"Error: Exec command {exec_id} has already run")
        self.started.append(exec_id)
        config = self.config(exec_id)
        if config.cmd[0] == "missing":
            raise InvalidArgument("OCI runtime exec failed: no such file")
        if options.detach:
            return None
        session = await Session.open(
            config.cmd, tty=options.tty, stdin=config.attach_stdin, ends_with_input=options.tty
        )
        self.sessions.append(session)
        return session

    def inspect(self, exec_id):
        config = self.config(exec_id)
        return ExecInspect(
            id=exec_id,
            running=False,
            exit_code=3,
            container_id="5" * 64,
            open_stdin=False,
            open_stderr=False,
            open_stdout=True,
            detach_keys=base64.b64encode(b"").decode(),
            process_config=ProcessConfig(entrypoint=config.cmd[0], arguments=config.cmd[1:], privileged=False),
        )

    async def resize(self, exec_id, height, width):
        self.config(exec_id)
        self.sizes.append((height, width))
