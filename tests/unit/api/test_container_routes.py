"""Containers and execs over HTTP: what reaches the engine, and what the client reads."""

from __future__ import annotations

import asyncio
import json

import pytest

from unit.api.processes import Containers, Execs
from unit.api.serving import on_uvloop, serving, soon
from wherry.api.routes import container
from wherry.api.routes import exec as exec_routes
from wherry.lib.filters import Filters
from wherry.logs.line import LogLine
from wherry.wire.exec import ExecCreate


@on_uvloop
async def test_list_parses_its_options():
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        answer = await served.ask(
            "GET", "/containers/json?all=1&limit=3&size=0&filters=" + "%7B%22label%22%3A%5B%22a%22%5D%7D"
        )
        assert backend.calls[-1] == (
            "list",
            {"everything": True, "limit": 3, "size": False, "filters": Filters({"label": ("a",)})},
        )
        assert answer.json()[0]["HostConfig"] == {}
        await served.ask("GET", "/containers/json?before=x")
        assert backend.calls[-1][1]["filters"] == Filters({"before": ("x",)})
        assert (await served.ask("GET", "/containers/json?limit=x")).status == 400


@on_uvloop
async def test_create():
    backend = Containers()
    body = json.dumps({"Image": "busybox", "MacAddress": "02:42:ac:11:00:02", "HostConfig": {"PidsLimit": -1}}).encode()
    async with serving(container.routes(backend)) as served:
        answer = await served.ask("POST", "/containers/create?name=n&platform=linux/amd64", body)
        assert answer.status == 201
        assert answer.json()["Id"] == "2" * 64
        assert answer.json()["Warnings"][0] == "careful"
        assert "MacAddress field is now deprecated" in answer.json()["Warnings"][1]
        _, request, name, platform = backend.calls[-1]
        assert (name, platform) == ("n", "linux/amd64")
        assert request.host_config.network_mode == "bridge"
        assert request.host_config.pids_limit is None
        assert request.mac_address == ""
        assert request.networking_config.endpoints_config["bridge"].mac_address == "02:42:ac:11:00:02"


@pytest.mark.parametrize(
    ("version", "body", "message"),
    [
        ("1.50", {}, "config cannot be empty in order to create a container"),
        (
            "1.43",
            {"Image": "x", "NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}},
            "Container cannot be created with multiple network endpoints: a, b",
        ),
        (
            "1.42",
            {"Image": "x", "HostConfig": {"Mounts": [{"Type": "bind", "VolumeOptions": {}}]}},
            'VolumeOptions must not be specified on mount type "bind"',
        ),
        (
            "1.44",
            {"Image": "x", "HostConfig": {"Mounts": [{"Type": "volume", "VolumeOptions": {"Subpath": "a"}}]}},
            "VolumeOptions.Subpath needs API v1.45 or newer",
        ),
    ],
)
def test_what_create_refuses(version, body, message):
    @on_uvloop
    async def run():
        async with serving(container.routes(Containers())) as served:
            answer = await served.ask("POST", f"/v{version}/containers/create", json.dumps(body).encode())
            assert (answer.status, answer.message) == (400, message)

    run()


@on_uvloop
async def test_older_clients_mean_what_they_say():
    backend = Containers()
    host = {"AutoRemove": True, "Annotations": {"a": "b"}, "ConsoleSize": [1, 2], "NetworkMode": "default"}
    body = json.dumps({"Image": "x", "HostConfig": host, "Healthcheck": {"StartInterval": 5}}).encode()
    async with serving(container.routes(backend)) as served:
        await served.ask("POST", "/v1.24/containers/create", body)
        old = backend.calls[-1][1]
        assert (old.host_config.auto_remove, old.host_config.annotations, old.host_config.console_size) == (
            False,
            None,
            (0, 0),
        )
        assert (old.host_config.ipc_mode, old.healthcheck.start_interval) == ("shareable", 0)
        await served.ask("POST", "/v1.50/containers/create", body)
        new = backend.calls[-1][1]
        assert (new.host_config.auto_remove, new.host_config.annotations, new.host_config.console_size) == (
            True,
            {"a": "b"},
            (1, 2),
        )
        assert (new.host_config.ipc_mode, new.healthcheck.start_interval) == ("", 5)


@pytest.mark.parametrize(
    ("method", "target", "status", "call"),
    [
        ("POST", "/containers/x/start", 204, ("start", "x")),
        ("POST", "/containers/x/stop", 204, ("stop", "x", {"signal_name": "", "timeout": None})),
        ("POST", "/containers/x/stop?t=0&signal=INT", 204, ("stop", "x", {"signal_name": "INT", "timeout": 0})),
        ("POST", "/v1.41/containers/x/stop?t=-1&signal=INT", 204, ("stop", "x", {"signal_name": "", "timeout": -1})),
        ("POST", "/containers/x/restart?t=5", 204, ("restart", "x", {"signal_name": "", "timeout": 5})),
        ("POST", "/containers/x/kill?signal=HUP", 204, ("kill", "x", {"signal_name": "HUP"})),
        ("POST", "/containers/x/rename?name=y", 204, ("rename", "x", "y")),
        ("POST", "/containers/x/pause", 204, ("pause", "x")),
        ("POST", "/containers/x/unpause", 204, ("unpause", "x")),
        ("DELETE", "/containers/x?force=1&v=1", 204, ("remove", "x", True, True)),
        ("DELETE", "/containers/x", 204, ("remove", "x", False, False)),
        ("POST", "/containers/x/resize?h=2&w=3", 200, ("resize", "x", 2, 3)),
        ("GET", "/containers/x/top?ps_args=-ef%20x", 200, ("top", "x", "-ef x")),
        ("POST", "/containers/prune", 200, ("prune", Filters())),
        ("GET", "/containers/x/stats?stream=0", 200, ("stats", "x", False, False)),
    ],
)
def test_calls_reach_the_engine(method, target, status, call):
    @on_uvloop
    async def run():
        backend = Containers()
        async with serving(container.routes(backend)) as served:
            assert (await served.ask(method, target)).status == status
            assert backend.calls[-1] == call

    run()


@pytest.mark.parametrize(
    ("method", "target", "status", "message"),
    [
        ("POST", "/containers/nobody/start", 404, "No such container: nobody"),
        ("POST", "/containers/x/stop?t=a", 400, 'strconv.Atoi: parsing "a": invalid syntax'),
        ("POST", "/containers/x/resize?h=a&w=3", 400, 'strconv.Atoi: parsing "a": invalid syntax'),
        ("POST", "/containers/x/resize?h=-1&w=3", 400, "invalid terminal size: -1x3"),
        ("POST", "/containers/x/wait?condition=FOO", 400, 'invalid condition: "FOO"'),
        ("POST", "/containers/nobody/wait", 404, "No such container: nobody"),
        ("GET", "/containers/x/logs", 400, "Bad parameters: you must choose at least one stream"),
        ("GET", "/containers/nobody/logs?stdout=1", 404, "No such container: nobody"),
        ("GET", "/containers/nobody/stats", 404, "No such container: nobody"),
        ("GET", "/containers/x/stats?stream=1&one-shot=1", 400, "cannot have stream=true and one-shot=true"),
        ("DELETE", "/containers/x?link=1", 501, "removing a link is not built yet"),
        ("POST", "/commit", 501, "POST /commit is not built yet"),
        ("GET", "/containers/x/changes", 501, "GET /containers/{id}/changes is not built yet"),
    ],
)
def test_refusals(method, target, status, message):
    @on_uvloop
    async def run():
        async with serving(container.routes(Containers())) as served:
            answer = await served.ask(method, target)
            assert (answer.status, answer.message) == (status, message)

    run()


@on_uvloop
async def test_a_start_with_a_configuration_is_refused():
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        assert (await served.ask("POST", "/containers/x/start", b"{}")).status == 204
        answer = await served.ask("POST", "/containers/x/start", b'{"Binds": ["/:/host"]}')
        assert answer.status == 400
        assert "removed in v1.24" in answer.message


@on_uvloop
async def test_wait_tells_at_once_that_it_is_registered():
    """A client starts the container when it has the headers; the code comes later."""
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await client.send(b"POST /v1.30/containers/x/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n")
        assert "Content-Type: application/json" in await client.head()
        assert backend.calls == [("wait", "x", "next-exit")]
        backend.exits["x"].set_result(7)
        assert [chunk async for chunk in client.chunks()] == [b'{"StatusCode":7}\n']


@on_uvloop
async def test_old_waits_answer_when_it_is_over():
    backend = Containers()
    async with serving(container.routes(backend)) as served:
        asking = asyncio.create_task(served.ask("POST", "/v1.29/containers/x/wait?condition=nonsense"))
        await soon(lambda: "x" in backend.exits)
        backend.exits["x"].set_result(7)
        assert (await asking).json() == {"StatusCode": 7}


@on_uvloop
async def test_logs():
    second = 1_000_000_000
    backend = Containers()
    backend.lines = [
        LogLine("stdout", 5 * second, b"out\n"),
        LogLine("stderr", 6 * second + 1, b"err\n", {"b": "2 3", "a": "1"}),
    ]
    async with serving(container.routes(backend)) as served:
        answer = await served.ask("GET", "/containers/x/logs?stdout=1&stderr=1")
        assert answer.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
        assert answer.body == b"\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n"
        backend.terminals.add("x")
        target = "/containers/x/logs?stdout=0&stderr=1&timestamps=1&details=1&since=1.5&until=9&tail=4&follow=1"
        answer = await served.ask("GET", target)
        assert answer.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert answer.body == b"1970-01-01T00:00:06.000000001Z a=1,b=2+3 err\n"
        assert backend.calls[-1][2] == {
            "since": 1_500_000_000,
            "until": 9 * second,
            "tail": 4,
            "follow": True,
            "stdout": False,
            "stderr": True,
        }
        await served.ask("GET", "/containers/x/logs?stdout=1&tail=all")
        assert backend.calls[-1][2]["tail"] == -1
        assert (await served.ask("GET", "/containers/x/logs?stdout=1&since=yesterday")).status == 400


@on_uvloop
async def test_an_error_in_the_logs_comes_in_band():
    backend = Containers()
    backend.lines = [LogLine("stdout", 1, b"out\n"), OSError("disk gone")]
    async with serving(container.routes(backend)) as served:
        answer = await served.ask("GET", "/containers/x/logs?stdout=1")
        text = b"Error grabbing logs: disk gone\n"
        assert answer.body == b"\1\0\0\0\0\0\0\4out\n" + bytes([3, 0, 0, 0, 0, 0, 0, len(text)]) + text


@on_uvloop
async def test_attach_replays_logs_without_a_stream():
    backend = Containers()
    backend.lines = [LogLine("stdout", 1, b"out\n")]
    async with serving(container.routes(backend)) as served:
        client = await served.connect()
        await client.send(b"POST /containers/x/attach?logs=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        await client.head()
        assert await client.rest() == b"\1\0\0\0\0\0\0\4out\n"
        assert backend.sessions == []


@on_uvloop
async def test_stats_stream():
    async with serving(container.routes(Containers())) as served:
        answer = await served.ask("GET", "/containers/x/stats")
        assert [json.loads(line)["num_procs"] for line in answer.body.splitlines()] == [0, 1, 2]


@on_uvloop
async def test_inspect_shows_sizes_when_asked():
    async with serving(container.routes(Containers())) as served:
        assert "SizeRw" not in (await served.ask("GET", "/containers/x/json")).json()
        assert (await served.ask("GET", "/containers/x/json?size=1")).json()["SizeRw"] == 7


@on_uvloop
async def test_exec():
    execs = Execs()
    async with serving(exec_routes.routes(execs)) as served:
        answer = await served.ask("POST", "/containers/x/exec", b'{"Cmd": ["true", "a"], "ConsoleSize": [1, 2]}')
        assert (answer.status, answer.json()) == (201, {"Id": "0"})
        assert execs.configs["0"] == ExecCreate(cmd=["true", "a"], console_size=(1, 2))
        await served.ask("POST", "/v1.41/containers/x/exec", b'{"Cmd": ["true"], "ConsoleSize": [1, 2]}')
        assert execs.configs["1"].console_size is None
        assert (await served.ask("POST", "/exec/0/start", b'{"Detach": true}')).status == 200
        inspected = (await served.ask("GET", "/exec/0/json")).json()
        assert inspected["ID"] == "0"
        assert inspected["ProcessConfig"] == {
            "tty": False,
            "entrypoint": "true",
            "arguments": ["a"],
            "privileged": False,
        }
        assert (await served.ask("POST", "/exec/0/resize?h=1&w=2")).status == 200
        for target, body, status, message in [
            ("/containers/x/exec", b"{}", 400, "No exec command specified"),
            ("/containers/x/exec", b'{"Cmd": ["a"], "DetachKeys": "foo"}', 400, "Invalid detach keys (foo) provided"),
            ("/exec/0/start", b'{"Detach": true}', 409, "Error: Exec command 0 has already run"),
            ("/exec/9/start", b"{}", 404, "No such exec instance: 9"),
            ("/exec/9/resize?h=1&w=2", b"", 404, "No such exec instance: 9"),
        ]:
            answer = await served.ask("POST", target, body)
            assert (answer.status, answer.message) == (status, message)
