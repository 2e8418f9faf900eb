"""Where our answer differs from the reference's and why that is right. ``docs/differences.md`` is written from this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One justified difference: in answers to matching commands ``pattern`` becomes ``stand_in`` before comparing."""

    command: str  # a pattern of the command lines concerned
    topic: str  # what a person does
    reference: str  # what the reference, dockerd 20.10, says
    ours: str
    reason: str
    pattern: str = r"(?!)"
    stand_in: str = ""
    codes: tuple[int, ...] = ()  # exit codes that count as one


NEWER = "wherry speaks API 1.50 and uses the words of the Docker that has it (28); the reference is older"

DIFFERENCES: list[Difference] = [
    Difference(
        command=r"^(run|start)",
        topic="a program that cannot be started",
        reference="`failed to create shim task: …`",
        ours="`failed to create task for container: failed to create shim task: …`",
        reason=NEWER,
        pattern="failed to create task for container: ",
    ),
    Difference(
        command=r"^(pause|unpause|exec|top|kill|stop|restart|attach)",
        topic="refusals that name a container",
        reference="`Container … is not running`, `Cannot kill container: …`, `Invalid signal: …`",
        ours="the same words in lower case",
        reason=NEWER,
        pattern=r"\b(?:[Cc]ontainer(?= <id)|[Cc]annot(?= kill)|[Ii]nvalid(?= signal))",
        stand_in="<word>",
    ),
    Difference(
        command=r"^ps .*colour",
        topic="an unknown filter",
        reference="`Invalid filter 'colour'`",
        ours="`invalid filter 'colour'`",
        reason=NEWER,
        pattern="[Ii]nvalid filter",
        stand_in="<invalid filter>",
    ),
    Difference(
        command=r"^rm ",
        topic="`docker rm` of a running container",
        reference="`You cannot remove a running container <id>. Stop the container before …`",
        ours='`cannot remove container "/name": container is running: stop the container before …`',
        reason=NEWER,
        pattern=r"You cannot remove a running container <id \d+>\. Stop the container before attempting removal"
        r'|cannot remove container "/up": container is running: stop the container before removing',
        stand_in="<refusal>",
    ),
    Difference(
        command=r"^exec .*(no-such-program|/no/such)",
        topic="`docker exec` of a program, or in a directory, that does not exist",
        reference="exit code 126",
        ours="exit code 127, as `docker run` gives",
        reason="Docker gives 127 since 23.0; " + NEWER,
        codes=(126, 127),
    ),
    Difference(
        command=r"^image inspect nothing",
        topic="`docker image inspect` of an unknown image",
        reference="`no such image: nothing: No such image: nothing:latest`",
        ours="`No such image: nothing:latest`",
        reason=NEWER,
        pattern="no such image: nothing: ",
    ),
    Difference(
        command=r"^inspect .*NetworkMode",
        topic="`HostConfig.NetworkMode` of a container without `--network`",
        reference="`default`",
        ours="`bridge`",
        reason="Docker stores the network's name since 26.0; " + NEWER,
        pattern=r"^(default|bridge) ",
        stand_in="<network> ",
    ),
    Difference(
        command=r"^inspect .*MaskedPaths",
        topic="the masked paths",
        reference="without `/proc/interrupts` and `/sys/devices/virtual/powercap`",
        ours="with them",
        reason="Both tell a program about other programs' work (timing, power); Docker 28 masks them too",
        pattern=r',?"/(proc/interrupts|sys/devices/virtual/powercap)"',
    ),
    Difference(
        command=r"^load -i /dev/null",
        topic="`docker load` of something that is no archive",
        reference="the path of a temporary file that is missing",
        ours="`invalid archive: does not contain a manifest.json`",
        reason="It names the fault instead of the daemon's inside; Docker 28 says so too",
        pattern=r"open <root>/data/tmp/docker-import-<number>/repositories: no such file or directory"
        r"|invalid archive: does not contain a manifest\.json",
        stand_in="<refusal>",
    ),
    Difference(
        command=r"/proc/self/cgroup",
        topic="`/proc/self/cgroup` on a machine with both cgroup versions",
        reference="a group of the container's in the unified hierarchy too",
        ours="no group of its own there",
        reason="Without controllers the unified hierarchy limits nothing; every version 1 hierarchy has its group",
        pattern=r"0::.*\n",
    ),
    Difference(
        command=r"^run .*--init",
        topic="the pid of the program under `--init`",
        reference="a number above 2, left by the helpers that ran before",
        ours="2",
        reason="Nothing else runs in the namespace first; no number but the init's 1 is promised",
        pattern=r"^\d+\n",
        stand_in="<pid>\n",
    ),
    Difference(
        command=r"^run .*mount",
        topic="the options that the kernel shows for the root's overlay",
        reference="none beyond the directories",
        ours="`uuid=on` after them",
        reason="The kernel shows it for a mount made by the newer mount calls",
        pattern=r",uuid=\w+",
    ),
    Difference(
        command=r"^run .*mount",
        topic="the folder that holds the version 1 control groups inside a container",
        reference="read-write, the groups in it read-only",
        ours="read-only like the groups",
        reason="Nobody has anything to write there",
        pattern=r"(?<=tmpfs on /sys/fs/cgroup type tmpfs \()r[wo]",
        stand_in="<mode>",
    ),
    Difference(
        command=r"^run .*mount",
        topic="`/proc/interrupts` inside a container",
        reference="the machine's",
        ours="empty",
        reason="See the masked paths",
        pattern=r"tmpfs on /proc/interrupts .*\n",
    ),
    Difference(
        command=r"^network inspect",
        topic="the name of the default bridge",
        reference="`docker0`",
        ours="the daemon's own name and `0`: `wherry0`",
        reason="Several daemons run side by side on one machine",
        pattern=r"docker0|<daemon>0",
        stand_in="<bridge>",
    ),
    Difference(
        command=r"^(port|ps|inspect) ",
        topic="where a port is published when no address is given",
        reference="`0.0.0.0` and `[::]`",
        ours="`0.0.0.0`",
        reason="wherry publishes on IPv4 only so far, and shows what is so",
        pattern=r"\d+/tcp -> (?:\[::\]|::):\d+\n|(?m:^(?:\[::\]|::):\d+\n)|, (?:\[::\]|::):\d+->\d+/tcp"
        r'|,\{"HostIp":"::","HostPort":"\d+"\}',
    ),
]
