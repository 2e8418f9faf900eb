"""The same docker commands against two daemons, and what of their answers must be equal.

A scenario is a list of command lines run one after the other on an empty daemon that has busybox. What no two runs
share (ids, times, roots) is replaced by names before the answers are compared; what differs for a reason is in
``support.differences``, and nowhere else.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from support.daemons import Daemon
from support.differences import DIFFERENCES

MOUNTS = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}} {{.Propagation}};{{end}}"

SCENARIOS: dict[str, list[str]] = {
    "run": [
        "run --rm busybox echo hello",
        "run --rm busybox sh -c 'echo out; echo err >&2; exit 3'",
        "run --rm busybox no-such-program",
        "run --rm busybox /etc/passwd",
        "run --rm busybox /no/such/path",
        "run --rm -w /etc/passwd busybox true",
        "run --rm -u stranger busybox true",
        "run --rm -u nobody busybox id",
        "run --rm -w /tmp -e A=b busybox sh -c 'pwd; echo $A'",
        "run --rm --pull never no-such-image",
        "run --rm --memory 1k busybox true",
        "run --rm --cap-add FLYING busybox true",
        "run --rm --restart always busybox true",
        "run --rm -h web --add-host db:10.9.8.7 busybox cat /etc/hosts",
        "run --rm --dns 192.0.2.53 --dns-search example.test busybox cat /etc/resolv.conf",
        "run --rm --network none busybox cat /proc/self/cgroup",
        "run --rm --init busybox sh -c 'echo $$'",
        "run --rm --read-only busybox touch /x",
        "run --rm busybox env",
        "run --rm busybox sh -c 'mount | sort'",
        "run --rm busybox ip addr show lo",
        "run --rm busybox ip route",
        "run --rm -t busybox tty",
        "run --rm busybox sh -c 'umask; ulimit -c -s'",
    ],
    "list": [
        "create --name new -l tier=web busybox true",
        "run -d --name up -l tier=db busybox sleep 60",
        "run --name over busybox sh -c 'exit 3'",
        "ps",
        "ps -a",
        "ps -aq",
        "ps -a --no-trunc",
        "ps -a --filter status=exited",
        "ps -a --filter exited=3 --format '{{.Names}} {{.Status}}'",
        "ps -a --filter label=tier --format '{{.Names}} {{.Labels}}'",
        "ps -a --filter colour=red",
        "ps -l",
        "inspect --format '{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{.Driver}}' over",
        "inspect --format '{{json .Config}}' new",
        "inspect --format '{{json .State.Error}} {{.State.OOMKilled}} {{.State.Dead}}' over",
        "inspect --format '{{.HostConfig.NetworkMode}} {{.HostConfig.IpcMode}} {{.HostConfig.ShmSize}}' up",
        "inspect --format '{{json .HostConfig.MaskedPaths}} {{json .HostConfig.ReadonlyPaths}}' up",
        "inspect --format '{{json .HostConfig.RestartPolicy}} {{json .HostConfig.LogConfig}}' up",
        "inspect nobody-here",
        "rename over done",
        "rename nobody-here x",
        "rename done up",
        "rm up",
        "rm nobody-here",
        "rm -f up",
        "container prune -f",
    ],
    "life": [
        "run -d --name trap --stop-timeout 2 busybox sh -c 'trap \"exit 5\" TERM; while :; do usleep 10000; done'",
        "exec trap true",
        "start trap",
        "pause trap",
        "pause trap",
        "ps --format '{{.Status}}'",
        "exec trap true",
        "unpause trap",
        "unpause trap",
        "kill -s USELESS trap",
        "restart -t 1 trap",
        "stop trap",
        "stop trap",
        "wait trap",
        "kill trap",
        "pause trap",
        "exec trap true",
        "top trap",
        "attach trap",
        "stop nobody-here",
        "start nobody-here",
        "wait nobody-here",
        "kill nobody-here",
        "restart nobody-here",
        "port trap",
        "port nobody-here",
        "start trap",
        "top trap -o args",
        "kill -s KILL trap",
        "wait trap",
        "inspect --format '{{.State.ExitCode}} {{.State.Status}} {{.State.Running}}' trap",
    ],
    "exec": [
        "run -d --name box busybox sleep 60",
        "exec box sh -c 'echo out; echo err >&2; exit 4'",
        "exec -u nobody -w /etc -e A=b box sh -c 'id -u; pwd; echo $A'",
        "exec box no-such-program",
        "exec box /etc/passwd",
        "exec -w /no/such box pwd",
        "exec -u stranger box true",
        "exec -d box true",
        "exec -t box tty",
        "exec nobody-here true",
    ],
    "logs": [
        "run --name talk busybox sh -c 'seq 5; usleep 99999; echo err >&2; usleep 99999; printf z'",
        "logs talk",
        "logs --tail 2 talk",
        "logs -f talk",
        "logs --since 1h talk",
        "logs --until 1h talk",
        "logs -t talk",
        "logs --tail nothing talk",
        "logs nobody-here",
        "run --name mute --log-driver none busybox echo unseen",
        "logs mute",
        "create --log-opt colour=red busybox",
    ],
    "images": [
        "images",
        "images -q",
        "images --format '{{.Repository}} {{.Tag}} {{.Size}}'",
        "images nothing",
        "tag busybox team/box:1.0",
        "tag nothing other",
        "tag busybox UPPER",
        "images --filter reference=team/* --format '{{.Repository}}:{{.Tag}}'",
        "history --format '{{.CreatedBy}} {{.Size}}' busybox",
        "image inspect --format '{{json .RepoTags}} {{json .Config.Cmd}} {{.Os}} {{json .RootFS}} {{.Size}}' busybox",
        "image inspect nothing",
        "create --name user team/box:1.0",
        "rmi team/box:1.0",
        "rmi nothing",
        "rmi busybox team/box:1.0",
        "rm user",
        "rmi -f team/box:1.0",
        "image prune -f",
        "save nothing",
        "load -i /dev/null",
    ],
    "networks": [
        "network ls",
        "network create --subnet 10.77.1.0/24 mine",
        "network create mine",
        "network create --subnet 10.77.1.128/25 other",
        "network create --subnet nonsense other",
        "network ls --filter driver=bridge --format '{{.Name}} {{.Driver}} {{.Scope}}'",
        "network inspect --format '{{.Name}} {{.Driver}} {{json .IPAM.Config}} {{.Internal}}' mine",
        "network inspect --format '{{json .IPAM.Config}} {{json .Options}}' bridge",
        "run -d --name web --network mine -p 8081:80 busybox httpd -f -p 80 -h /www",
        "port web",
        "port web 80",
        "port web 81",
        "ps --format '{{.Names}} {{.Ports}}'",
        "inspect --format '{{json .NetworkSettings.Ports}} {{.NetworkSettings.Networks.mine.IPAddress}}' web",
        "run -d --name second -p 8081:80 busybox true",
        "network connect bridge web",
        "network connect bridge web",
        "network disconnect mine web",
        "network disconnect mine web",
        "network connect nowhere web",
        "network rm mine",
        "network rm bridge",
        "network rm nothing",
        "run --rm --network nowhere busybox true",
        "run --rm --network container:nobody busybox true",
        "network create spare",
        "network prune -f",
    ],
    "volumes": [
        "volume create data",
        "volume ls",
        "volume inspect --format '{{.Name}} {{.Driver}} {{.Scope}} {{json .Labels}}' data",
        "volume inspect nothing",
        "volume create -bad",
        "volume create a/b",
        "run --rm -v data:/d busybox sh -c 'echo x > /d/f; ls -la /d | tail -1 | cut -c1-10'",
        "create --name first -v /srv:/host:ro busybox",
        f"inspect --format '{MOUNTS}' first",
        "create --name user -v data:/d busybox",
        f"inspect --format '{MOUNTS}' user",
        "volume rm data",
        "volume rm nothing",
        "rm user first",
        "create -v relative/path:/d busybox",
        "create -v data:relative busybox",
        "create -v data:/d:sideways busybox",
        "create --mount type=bind,source=/no/such,target=/d busybox",
        "volume ls --filter dangling=true -q",
        "volume rm data",
    ],
    "system": [
        "system df",
        "run -d --name standing busybox sleep 60",
        "stats --no-stream --format '{{.Name}} {{.PIDs}}' standing",
        "stats --no-stream nobody-here",
        "info --format '{{.Containers}} {{.ContainersRunning}} {{.Images}} {{.OSType}}'",
        "info --format '{{.Driver}} {{.CgroupDriver}} {{.LoggingDriver}} {{.CgroupVersion}}'",
        "events --since 1m --until 0s --filter container=standing --format '{{.Type}} {{.Action}}'",
        "events --since 1m --until 0s --filter event=nonsense",
        "version --format '{{.Server.Os}} {{.Server.Arch}}'",
        "system prune -f",
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One daemon's answer to one command, made comparable."""

    code: int
    stdout: str
    stderr: str


def answer(daemon: Daemon, line: str, names: Names) -> Said:
    """Run one command line and normalise what it said."""
    done = daemon.docker(*shlex.split(line), check=False, timeout=40)
    return Said(done.returncode, names.normal(done.stdout), names.normal(done.stderr))


class Names:
    """Gives what differs from run to run a name by its first appearance: ``<id 1>``, ``<time>``, ``<root>``."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.ids: list[str] = []

    def normal(self, text: str) -> str:
        text = text.replace(self.daemon.root, "<root>").replace(self.daemon.name, "<daemon>")
        text = re.sub(r"(lowerdir|upperdir|workdir)=[^,) ]+", r"\1=<dir>", text)
        text = re.sub(r"\b[0-9a-f]{64}\b", self._id, text)
        text = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b", self._id, text)
        for pattern, name in PATTERNS:
            text = re.sub(pattern, name, text)
        return text

    def _id(self, match: re.Match[str]) -> str:
        found = match[0]
        for number, known in enumerate(self.ids):
            if known.startswith(found):
                return f"<id {number + 1}>"
        self.ids.append(found)
        return f"<id {len(self.ids)}>"


PATTERNS = [
    (r"See 'docker run --help'\.\n", ""),  # the CLI of 20.10 tells by it a create that failed from a start that did
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (
        r"(Less than a second|About (a minute|an hour)|\d+ (second|minute|hour|day|week|month|year)s?) ago",
        "<ago>",
    ),
    (r"Up (Less than a second|About a minute|\d+ (seconds?|minutes?))", "Up <time>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    (r"docker-import-\d+", "docker-import-<number>"),
    (
        r'time="[^"]*" level=error msg="error waiting for container: context canceled"\n',
        "",
    ),  # the CLI of 20.10, at times
    (r"  +", "  "),
]


def comparable(said: Said, line: str) -> Said:
    """What remains to be compared once every justified difference of this command is taken out."""
    for difference in DIFFERENCES:
        if re.search(difference.command, line):
            said = Said(
                code=min(difference.codes) if said.code in difference.codes else said.code,
                stdout=re.sub(difference.pattern, difference.stand_in, said.stdout),
                stderr=re.sub(difference.pattern, difference.stand_in, said.stderr),
            )
    return said
