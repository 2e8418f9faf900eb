"""The programs people already have, against the server: the docker command and the docker SDK."""

from __future__ import annotations

import asyncio
import shutil

import docker
import pytest

from unit.api.processes import Containers, Execs
from unit.api.serving import on_uvloop, serving
from wherry.api.routes import container, ping
from wherry.api.routes import exec as exec_routes
from wherry.api.server.routing import Json, Route
from wherry.logs.line import LogLine

CLI = shutil.which("docker")
needs_cli = pytest.mark.skipif(CLI is None, reason="the docker command is not installed")


class Pinged:
    def swarm_state(self):
        return "inactive"

    def builder_version(self):
        return ""


async def version(_request):
    return Json({"Version": "1.2.3", "ApiVersion": "1.50", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})


def table(containers, execs):
    return [
        *ping.routes(Pinged()),
        Route("GET", "/version", version),
        *container.routes(containers),
        *exec_routes.routes(execs),
    ]


async def run(path, *arguments, given=b""):
    process = await asyncio.create_subprocess_exec(
        CLI,
        "-H",
        f"unix://{path}",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given)
    return process.returncode, out.decode(), err.decode()


@needs_cli
@on_uvloop
async def test_the_docker_command():
    """Negotiation, a list, a wait, logs on two streams, and an exec with its input's end and its exit code."""
    containers, execs = Containers(), Execs()
    containers.lines = [LogLine("stdout", 1, b"out\n"), LogLine("stderr", 2, b"err\n")]
    async with serving(table(containers, execs)) as served:
        assert await run(served.path, "version", "-f", "{{.Server.Version}} {{.Client.APIVersion}}") == (
            0,
            "1.2.3 1.50\n",
            "",
        )
        assert await run(served.path, "ps", "-q") == (0, "111111111111\n", "")
        assert await run(served.path, "logs", "x") == (0, "out\n", "err\n")
        assert await run(served.path, "exec", "-i", "x", "cat", given=b"in\n" * 1000) == (3, "in\n" * 1000, "")
        assert await run(served.path, "start", "nobody") == (
            1,
            "",
            "Error response from daemon: No such container: nobody\nError: failed to start containers: nobody\n",
        )
        assert (await run(served.path, "build", "-"))[0] != 0
        waiting = asyncio.create_task(run(served.path, "wait", "x"))
        while "x" not in containers.exits:  # noqa: ASYNC110 (the client is another process)
            await asyncio.sleep(0.01)
        containers.exits["x"].set_result(5)
        assert await waiting == (0, "5\n", "")


@on_uvloop
async def test_the_docker_sdk():
    containers, execs = Containers(), Execs()
    containers.lines = [LogLine("stdout", 1, b"out\n"), LogLine("stderr", 2, b"err\n")]

    def use(path):
        client = docker.DockerClient(base_url=f"unix://{path}", version="auto")
        try:
            assert client.ping()
            assert client.version()["Version"] == "1.2.3"
            found = client.containers.get("x")
            assert found.logs(stdout=True, stderr=True) == b"out\nerr\n"
            assert list(found.logs(stream=True)) == [b"out\n", b"err\n"]
            assert found.exec_run(["sh", "-c", "sleep 0.3; echo hi; exit 3"]) == (3, b"hi\n")
            socket = found.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
            socket._sock.sendall(b"typed")
            socket._sock.shutdown(1)
            assert socket.read() == b"\1\0\0\0\0\0\0\5typed"
            raw = socket._sock
            socket.close()
            raw.close()  # the SDK leaves it to the garbage collector
            assert len(list(found.stats(decode=True))) == 3
            with pytest.raises(docker.errors.NotFound, match="No such container: nobody"):
                client.containers.get("nobody")
        finally:
            client.close()

    async with serving(table(containers, execs)) as served:
        await asyncio.to_thread(use, served.path)
