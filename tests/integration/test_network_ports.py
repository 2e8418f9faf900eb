"""Networks and published ports: what a container reaches, and what reaches it."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.box import Box, in_netns
from support.commands import eventually
from support.daemons import GATEWAY, Daemon

PAGE = "served from a container\n"
HTTPD = ("busybox", "httpd", "-f", "-p", "80", "-h", "/www")


def address(daemon: Daemon, name: str, network: str = "bridge") -> str:
    return daemon.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]


def page(daemon: Daemon, url: str) -> str:
    """The page, once the server inside has come up."""

    def get() -> str:
        try:
            return daemon.box.fetch(url)
        except OSError:
            return ""

    return eventually(f"a page at {url}", get)


@contextmanager
def udp_server(daemon: Daemon, name: str, port: int) -> Iterator[None]:
    """A server inside the container's network (busybox has none for datagrams) that answers until it is told to end."""

    def bind() -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", port))
        return server

    def serve(server: socket.socket) -> None:
        while (received := server.recvfrom(65536))[0] != b"end":
            server.sendto(b"answer to " + received[0], received[1])

    server = in_netns(f"/proc/{daemon.inspect(name)['State']['Pid']}/ns/net", bind)
    thread = threading.Thread(target=serve, args=(server,))
    thread.start()
    try:
        yield
    finally:
        daemon.box.inside(lambda: _send(address(daemon, name), port))
        thread.join()
        server.close()


def _send(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"end", (host, port))


@pytest.fixture
def outside(daemon: Daemon) -> Iterator[Box]:
    """Another host: wired to the daemon's, which is its gateway."""
    other = Box(f"{daemon.name}-o")
    daemon.box.wire(other, here="192.0.2.1/24", there="192.0.2.2/24")
    try:
        yield other
    finally:
        daemon.box.unwire(other)
        other.remove()


def test_a_published_port_serves_on_every_address(daemon: Daemon, outside: Box) -> None:
    """-p 8081:80 answers on 127.0.0.1, on the bridge's address, and from another host."""
    daemon.docker("run", "-d", "-p", "8081:80", *HTTPD)
    assert page(daemon, "http://127.0.0.1:8081/") == PAGE
    assert daemon.box.fetch(f"http://{GATEWAY}:8081/") == PAGE
    assert outside.fetch("http://192.0.2.1:8081/") == PAGE


def test_a_published_port_serves_other_containers(daemon: Daemon) -> None:
    """A container reaches another's published port through the gateway, and its own as well."""
    daemon.docker("run", "-d", "--name", "web", "-p", "8081:80", *HTTPD)
    page(daemon, "http://127.0.0.1:8081/")
    url = f"http://{GATEWAY}:8081/"
    assert daemon.docker("run", "--rm", "busybox", "wget", "-qO-", url).stdout == PAGE
    assert daemon.docker("exec", "web", "wget", "-qO-", url).stdout == PAGE


def test_the_client_address_is_seen(daemon: Daemon, outside: Box) -> None:
    """No proxy stands between: the server sees who asks from another host."""
    daemon.docker(
        "run", "-d", "--name", "web", "-p", "8081:80", "busybox", "httpd", "-f", "-v", "-p", "80", "-h", "/www"
    )
    page(daemon, "http://127.0.0.1:8081/")
    outside.fetch("http://192.0.2.1:8081/")
    eventually("the other host's address", lambda: "192.0.2.2" in daemon.docker("logs", "web").stderr)


def test_udp(daemon: Daemon, outside: Box) -> None:
    """-p 5353:53/udp carries datagrams both ways."""
    daemon.docker("run", "-d", "--name", "dns", "-p", "5353:53/udp", "busybox", "sleep", "60")
    with udp_server(daemon, "dns", 53):
        assert daemon.box.udp("127.0.0.1", 5353, b"question") == b"answer to question"
        assert daemon.box.udp(GATEWAY, 5353, b"again") == b"answer to again"
        assert outside.udp("192.0.2.1", 5353, b"from outside") == b"answer to from outside"


def test_a_host_address_limits_who_reaches_it(daemon: Daemon, outside: Box) -> None:
    """-p 127.0.0.1:8081:80 answers the machine itself and nobody else."""
    daemon.docker("run", "-d", "-p", "127.0.0.1:8081:80", *HTTPD)
    assert page(daemon, "http://127.0.0.1:8081/") == PAGE
    assert not outside.connects("192.0.2.1", 8081)
    assert not daemon.box.connects(GATEWAY, 8081)


def test_a_loopback_port_is_not_reachable_by_routing(daemon: Daemon, outside: Box) -> None:
    """S14: another host that routes 127.0.0.0/8 to us does not reach a port published on loopback."""
    daemon.docker("run", "-d", "-p", "127.0.0.1:8081:80", *HTTPD)
    page(daemon, "http://127.0.0.1:8081/")
    outside.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    outside.run("ip", "route", "add", "127.0.0.1/32", "via", "192.0.2.1", "table", "local", check=False)
    assert not outside.connects("127.0.0.1", 8081)


def test_several_ports_and_a_range(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "web", "-p", "8081-8083:80-82", "-p", "9090:80", *HTTPD)
    assert page(daemon, "http://127.0.0.1:8081/") == PAGE
    assert page(daemon, "http://127.0.0.1:9090/") == PAGE
    shown = daemon.out("port", "web").splitlines()
    assert {
        "80/tcp -> 0.0.0.0:8081",
        "81/tcp -> 0.0.0.0:8082",
        "82/tcp -> 0.0.0.0:8083",
        "80/tcp -> 0.0.0.0:9090",
    } <= set(shown)


def test_a_range_of_host_ports_takes_a_free_one(daemon: Daemon) -> None:
    """-p 8100-8102:80 gives each container the next free port, and refuses the fourth."""
    ports = set()
    for number in range(3):
        daemon.docker("run", "-d", "--name", f"web{number}", "-p", "8100-8102:80", *HTTPD)
        ports.add(daemon.inspect(f"web{number}")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
    assert ports == {"8100", "8101", "8102"}
    done = daemon.docker("run", "-d", "-p", "8100-8102:80", *HTTPD, check=False)
    assert done.returncode == 125
    assert "port is already allocated" in done.stderr or "all ports are allocated" in done.stderr


def test_publish_all(daemon: Daemon) -> None:
    """-P publishes every exposed port on a free high one."""
    daemon.docker("run", "-d", "--name", "web", "-P", "--expose", "80", *HTTPD)
    bound = daemon.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    assert int(bound) >= 32768
    assert page(daemon, f"http://127.0.0.1:{bound}/") == PAGE


def test_a_port_in_use_is_refused_with_its_number(daemon: Daemon) -> None:
    """The second container on a port does not start, and the port goes on serving."""
    daemon.docker("run", "-d", "-p", "8081:80", *HTTPD)
    page(daemon, "http://127.0.0.1:8081/")
    done = daemon.docker("run", "-d", "--name", "second", "-p", "8081:80", *HTTPD, check=False)
    assert done.returncode == 125
    assert re.search(r"Bind for 0\.0\.0\.0:8081 failed: port is already allocated", done.stderr)
    assert daemon.state("second") == "created"
    assert page(daemon, "http://127.0.0.1:8081/") == PAGE


def test_a_port_that_another_program_has_is_refused(daemon: Daemon) -> None:
    """A socket of the machine's own is respected."""
    taken = daemon.box.inside(lambda: socket.create_server(("0.0.0.0", 8081)))
    with taken:
        done = daemon.docker("run", "-d", "-p", "8081:80", *HTTPD, check=False)
    assert done.returncode == 125
    assert "address already in use" in done.stderr


def test_a_port_is_free_again_after_stop(daemon: Daemon) -> None:
    """A stopped container holds no port; another may take it."""
    daemon.docker("run", "-d", "--name", "first", "-p", "8081:80", *HTTPD)
    daemon.docker("stop", "-t", "0", "first")
    daemon.docker("run", "-d", "-p", "8081:80", *HTTPD)
    assert page(daemon, "http://127.0.0.1:8081/") == PAGE
    assert daemon.docker("start", "first", check=False).returncode == 1


def test_ps_shows_the_ports(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "-p", "8081:80", "-p", "127.0.0.1:5353:53/udp", "--expose", "90", *HTTPD)
    shown = set(daemon.out("ps", "--format", "{{.Ports}}").split(", "))
    assert {"0.0.0.0:8081->80/tcp", "127.0.0.1:5353->53/udp", "90/tcp"} <= shown


def test_containers_have_addresses_of_the_bridge(daemon: Daemon) -> None:
    """Each gets its own address, a gateway, and a route."""
    for name in ("one", "two"):
        daemon.docker("run", "-d", "--name", name, "busybox", "sleep", "60")
    seen = daemon.inspect("one")["NetworkSettings"]["Networks"]["bridge"]
    assert (seen["Gateway"], seen["IPPrefixLen"]) == (GATEWAY, 24)
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", seen["MacAddress"])
    assert address(daemon, "one") != address(daemon, "two")
    assert daemon.out("exec", "one", "ip", "route").splitlines()[0].strip() == f"default via {GATEWAY} dev eth0"
    assert daemon.docker("exec", "one", "ping", "-c1", "-W2", address(daemon, "two")).returncode == 0


def test_an_address_is_free_again(daemon: Daemon) -> None:
    """R6: runs one after the other do not use up addresses."""
    for _ in range(10 if daemon.kind == "wherryd" else 3):
        daemon.docker("run", "--rm", "busybox", "true")
    name = daemon.out("run", "-d", "busybox", "sleep", "60")
    assert int(address(daemon, name).rsplit(".", 1)[1]) < 10


def test_the_outside_is_reached_under_the_hosts_address(daemon: Daemon, outside: Box) -> None:
    """Masquerade: another host sees the daemon's address, not the container's."""
    server = outside.inside(lambda: socket.create_server(("192.0.2.2", 7000)))
    with server:
        server.settimeout(5)
        asking = daemon.spawn("run", "--rm", "busybox", "sh", "-c", "echo hi | nc -w 3 192.0.2.2 7000")
        connection, (peer, _) = server.accept()
        connection.close()
    asking.communicate(timeout=10)
    assert peer == "192.0.2.1"


def test_no_network(daemon: Daemon) -> None:
    """--network none has a loopback that is up, and nothing else."""
    printed = daemon.out("run", "--rm", "--network", "none", "busybox", "ip", "-o", "addr")
    assert [line.split()[1] for line in printed.splitlines() if " inet " in line] == ["lo"]
    assert "eth0" not in printed


def test_the_hosts_network(daemon: Daemon) -> None:
    """--network host sees the daemon's own links and binds its ports."""
    assert GATEWAY in daemon.out("run", "--rm", "--network", "host", "busybox", "ip", "addr")
    daemon.docker("run", "-d", "--network", "host", "busybox", "httpd", "-f", "-p", "8088", "-h", "/www")
    assert page(daemon, "http://127.0.0.1:8088/") == PAGE


def test_another_containers_network(daemon: Daemon) -> None:
    """--network container:X shares its addresses and its loopback."""
    daemon.docker("run", "-d", "--name", "web", "-h", "webhost", *HTTPD)
    eventually("it serves", lambda: daemon.box.connects(address(daemon, "web"), 80, timeout=0.3))
    script = "wget -qO- http://127.0.0.1/; hostname"
    printed = daemon.docker("run", "--rm", "--network", "container:web", "busybox", "sh", "-c", script).stdout
    assert printed == PAGE + "webhost\n"


def test_the_network_of_a_stopped_container_is_refused(daemon: Daemon) -> None:
    daemon.docker("create", "--name", "still", "busybox")
    done = daemon.docker("run", "--rm", "--network", "container:still", "busybox", "true", check=False)
    assert done.returncode == 125
    assert re.search("is not running|non running container", done.stderr)


def test_the_standing_networks(daemon: Daemon) -> None:
    shown = daemon.out("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    assert sorted(shown) == ["bridge bridge local", "host host local", "none null local"]
    (seen,) = json.loads(daemon.out("network", "inspect", "bridge"))
    assert seen["IPAM"]["Config"][0]["Subnet"] == "172.29.5.0/24"
    assert seen["Options"]["com.docker.network.bridge.default_bridge"] == "true"


def test_a_network_of_ones_own(daemon: Daemon) -> None:
    """create with a subnet; containers on it get its addresses and reach each other, not those of the bridge."""
    made = daemon.out("network", "create", "--subnet", "10.77.1.0/24", "--label", "a=b", "mine")
    assert re.fullmatch("[0-9a-f]{64}", made)
    daemon.docker("run", "-d", "--name", "web", "--network", "mine", *HTTPD)
    daemon.docker("run", "-d", "--name", "other", "busybox", "sleep", "60")
    inside = address(daemon, "web", "mine")
    assert inside.startswith("10.77.1.")
    fetch = ("timeout", "2", "wget", "-qO-", f"http://{inside}/")
    assert daemon.docker("run", "--rm", "--network", "mine", "busybox", *fetch).stdout == PAGE
    assert daemon.docker("exec", "other", *fetch, check=False).returncode != 0  # isolated
    (seen,) = json.loads(daemon.out("network", "inspect", "mine"))
    assert [item["Name"] for item in seen["Containers"].values()] == ["web"]
    assert seen["Labels"] == {"a": "b"}


def test_a_fixed_address(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--subnet", "10.77.1.0/24", "--gateway", "10.77.1.254", "mine")
    daemon.docker("run", "-d", "--name", "fixed", "--network", "mine", "--ip", "10.77.1.33", "busybox", "sleep", "60")
    seen = daemon.inspect("fixed")["NetworkSettings"]["Networks"]["mine"]
    assert (seen["IPAddress"], seen["Gateway"]) == ("10.77.1.33", "10.77.1.254")
    done = daemon.docker("run", "-d", "--network", "mine", "--ip", "10.77.1.33", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "Address already in use" in done.stderr


@pytest.mark.ours  # the CLI asks for API 1.44, which the reference does not have
def test_a_fixed_hardware_address(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "fixed", "--mac-address", "02:11:22:33:44:55", "busybox", "sleep", "60")
    assert "02:11:22:33:44:55" in daemon.out("exec", "fixed", "ip", "link", "show", "eth0")


def test_connect_and_disconnect_a_running_container(daemon: Daemon) -> None:
    """A second network appears as eth1 while the container runs, and goes away again."""
    daemon.docker("network", "create", "--subnet", "10.77.1.0/24", "mine")
    daemon.docker("run", "-d", "--name", "both", "busybox", "sleep", "60")
    daemon.docker("network", "connect", "mine", "both")
    assert "10.77.1." in daemon.out("exec", "both", "ip", "addr", "show", "eth1")
    assert set(daemon.inspect("both")["NetworkSettings"]["Networks"]) == {"bridge", "mine"}
    again = daemon.docker("network", "connect", "mine", "both", check=False)
    assert again.returncode == 1
    assert "already exists in network mine" in again.stderr
    daemon.docker("network", "disconnect", "mine", "both")
    assert daemon.docker("exec", "both", "ip", "addr", "show", "eth1", check=False).returncode == 1


def test_a_network_in_use_is_not_removed(daemon: Daemon) -> None:
    daemon.docker("network", "create", "mine")
    daemon.docker("run", "-d", "--name", "user", "--network", "mine", "busybox", "sleep", "60")
    done = daemon.docker("network", "rm", "mine", check=False)
    assert done.returncode == 1
    assert "has active endpoints" in done.stderr
    daemon.docker("rm", "-f", "user")
    assert daemon.out("network", "rm", "mine") == "mine"


@pytest.mark.parametrize("name", ["bridge", "host", "none"])
def test_a_standing_network_is_not_removed(daemon: Daemon, name: str) -> None:
    done = daemon.docker("network", "rm", name, check=False)
    assert done.returncode == 1
    assert f"{name} is a pre-defined network and cannot be removed" in done.stderr


def test_an_unknown_network(daemon: Daemon) -> None:
    done = daemon.docker("run", "--rm", "--network", "nowhere", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "network nowhere not found" in done.stderr


def test_overlapping_and_repeated_networks_are_refused(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--subnet", "10.77.1.0/24", "mine")
    again = daemon.docker("network", "create", "mine", check=False)
    assert again.returncode == 1
    assert "network with name mine already exists" in again.stderr
    overlap = daemon.docker("network", "create", "--subnet", "10.77.1.128/25", "other", check=False)
    assert overlap.returncode == 1
    assert "Pool overlaps with other one on this address space" in overlap.stderr


def test_network_prune(daemon: Daemon) -> None:
    daemon.docker("network", "create", "unused")
    assert daemon.out("network", "prune", "-f") == "Deleted Networks:\nunused\n"


def test_an_internal_network_has_no_way_out(daemon: Daemon, outside: Box) -> None:
    """--internal: no route to other hosts."""
    daemon.docker("network", "create", "--internal", "inner")
    done = daemon.docker("run", "--rm", "--network", "inner", "busybox", "ping", "-c1", "-W1", "192.0.2.2", check=False)
    assert done.returncode == 1


@pytest.mark.ours
def test_the_firewall_heals_after_a_flush(daemon: Daemon) -> None:
    """R9: after someone flushes the ruleset, published ports come back by themselves."""
    daemon.docker("run", "-d", "-p", "8081:80", *HTTPD)
    page(daemon, "http://127.0.0.1:8081/")
    daemon.box.run("nft", "flush", "ruleset")  # the box's own, not the machine's
    assert page(daemon, "http://127.0.0.1:8081/") == PAGE


@pytest.mark.ours
def test_one_table_and_no_foreign_rule(daemon: Daemon) -> None:
    """Our rules live in one table with the daemon's name; someone else's table stays as it is."""
    daemon.box.run("nft", "add table inet foreign; add chain inet foreign c; add rule inet foreign c counter accept")
    try:
        daemon.docker("run", "-d", "-p", "8081:80", *HTTPD)
        assert sorted(daemon.box.tables()) == sorted([f"table inet {daemon.name}", "table inet foreign"])
        assert "counter" in daemon.box.run("nft", "list", "table", "inet", "foreign")
    finally:
        daemon.box.run("nft", "delete", "table", "inet", "foreign")
