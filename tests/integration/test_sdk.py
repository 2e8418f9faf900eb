"""The docker SDK for Python, unchanged, against us (Shows 3)."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
import time

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

from support.daemons import Daemon

# The SDK leaves the closing of hijacked connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_ping_version_info(client: docker.DockerClient) -> None:
    assert client.ping() is True
    assert client.version()["Os"] == "linux"
    assert client.info()["OSType"] == "linux"


def test_run_returns_the_output(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True, network_mode="none") == b"hello\n"


def test_run_raises_with_code_and_stderr(client: docker.DockerClient) -> None:
    with pytest.raises(ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True, network_mode="none")
    assert caught.value.exit_status == 3
    assert caught.value.stderr == b"bad\n"


def test_a_detached_container_has_a_life(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, name="sdk", network_mode="none")
    assert container.status in {"created", "running"}
    container.reload()
    assert container.status == "running"
    container.pause()
    container.unpause()
    container.rename("renamed")
    container.stop(timeout=0)
    assert container.wait(timeout=10)["StatusCode"] == 137
    container.start()
    container.restart(timeout=0)
    container.kill()
    container.remove(force=True)
    with pytest.raises(NotFound):
        client.containers.get("renamed")


def test_logs_are_a_stream(client: docker.DockerClient) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.1; done"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, network_mode="none")
    assert b"".join(container.logs(stream=True, follow=True)) == b"line 1\nline 2\nline 3\n"
    assert container.logs(tail=1) == b"line 3\n"


def test_exec_run(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, network_mode="none")
    assert container.exec_run("sh -c 'echo out; exit 4'") == (4, b"out\n")
    code, (out, err) = container.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True)
    assert (code, out, err) == (0, b"out\n", b"err\n")
    code, stream = container.exec_run(["seq", "3"], stream=True)
    assert b"".join(stream) == b"1\n2\n3\n"
    assert (
        container.exec_run(["env"], environment={"A": "b"}, workdir="/etc", user="nobody").output.count(b"A=b\n") == 1
    )


def test_an_attached_socket_half_closes(client: docker.DockerClient) -> None:
    """attach_socket: write, close our side, read the answer to the end."""
    container = client.containers.create("busybox", ["wc", "-c"], stdin_open=True, network_mode="none")
    attached = client.api.attach_socket(container.id, params={"stdin": 1, "stdout": 1, "stream": 1})
    raw = attached._sock
    container.start()
    raw.sendall(b"x" * 5000)
    raw.shutdown(socket.SHUT_WR)
    received = b""
    raw.settimeout(10)
    while chunk := raw.recv(4096):
        received += chunk
    assert received.endswith(b"5000\n")
    attached.close()
    raw.close()
    assert container.wait(timeout=10)["StatusCode"] == 0


def test_an_exec_socket(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, network_mode="none")
    exec_id = client.api.exec_create(container.id, ["cat"], stdin=True)["Id"]
    stream = client.api.exec_start(exec_id, socket=True)
    raw = stream._sock
    raw.sendall(b"through and back")
    raw.shutdown(socket.SHUT_WR)
    raw.settimeout(10)
    received = b""
    while chunk := raw.recv(4096):
        received += chunk
    stream.close()
    raw.close()
    assert received == b"\x01\0\0\0\0\0\0\x10through and back"
    assert client.api.exec_inspect(exec_id)["ExitCode"] == 0


def test_events_are_a_stream(daemon: Daemon, client: docker.DockerClient) -> None:
    seen: list[str] = []
    listener = daemon.sdk()
    events = listener.events(decode=True, filters={"type": "container"})

    def listen() -> None:
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                break

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(0.3)
    client.containers.run("busybox", ["true"], remove=True, network_mode="none")
    thread.join(10)
    events.close()
    listener.close()
    assert seen[0] == "create"
    assert seen[-2:] == ["die", "destroy"]


def test_stats(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, network_mode="none")
    once = container.stats(stream=False)
    assert once["pids_stats"]["current"] == 1
    stream = container.stats(stream=True, decode=True)
    assert next(stream)["read"] < next(stream)["read"]
    stream.close()


def test_top(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, network_mode="none")
    assert container.top()["Titles"][:2] == ["UID", "PID"]
    assert container.top(ps_args="-o pid,args")["Processes"][0][1] == "sleep 60"


def test_lists_and_filters(client: docker.DockerClient) -> None:
    first = client.containers.run("busybox", ["sleep", "60"], detach=True, labels={"k": "v"}, network_mode="none")
    client.containers.create("busybox", ["true"])
    assert [item.id for item in client.containers.list()] == [first.id]
    assert [item.id for item in client.containers.list(all=True, filters={"label": "k=v"})] == [first.id]
    assert len(client.containers.list(all=True)) == 2


def test_images(client: docker.DockerClient) -> None:
    image = client.images.get("busybox")
    assert image.tags == ["busybox:latest"]
    saved = b"".join(image.save(named=True))
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        assert "manifest.json" in tar.getnames()
    (loaded,) = client.images.load(saved)
    assert loaded.id == image.id
    assert image.tag("sdk/box", "1") is True
    client.images.remove("sdk/box:1")
    assert image.history()[0]["CreatedBy"] == "layer 0"
    with pytest.raises(ImageNotFound):
        client.images.get("nothing:here")


def test_networks_and_volumes(client: docker.DockerClient) -> None:
    network = client.networks.create("sdk-net", driver="bridge")
    container = client.containers.run("busybox", ["sleep", "60"], detach=True)
    network.connect(container)
    network.reload()
    assert [item.id for item in network.containers] == [container.id]
    network.disconnect(container)
    network.remove()
    volume = client.volumes.create("sdk-vol", labels={"a": "b"})
    assert volume.attrs["Labels"] == {"a": "b"}
    volume.remove()


def test_ports(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sleep", "60"], detach=True, ports={"80/tcp": None, "81/tcp": ("127.0.0.1", 8099)}
    )
    container.reload()
    assert container.ports["81/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8099"}]
    assert int(container.ports["80/tcp"][0]["HostPort"]) > 1024


def test_errors_are_the_sdks_own(client: docker.DockerClient) -> None:
    """404, 409 and 400 become the exceptions that programs catch, with the daemon's words."""
    with pytest.raises(ImageNotFound, match="No such image"):
        client.containers.create("nothing:here")
    client.containers.create("busybox", name="taken")
    with pytest.raises(APIError, match="already in use") as caught:
        client.containers.create("busybox", name="taken")
    assert caught.value.status_code == 409
