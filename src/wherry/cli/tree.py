"""Every command of docker 28: where ours live, and which are not built yet.

A row is name → (short description, module:attribute under ``cli/commands``); an empty place is a command that is not
built. Only the file of the command called is loaded.
"""

from __future__ import annotations

Row = tuple[str, str]
Table = dict[str, Row]

COMMON: Table = {
    "run": ("Create and run a new container from an image", "container.run:RUN"),
    "exec": ("Execute a command in a running container", "container.exec:EXEC"),
    "ps": ("List containers", "container.list:PS"),
    "build": ("Build an image from a Dockerfile", ""),
    "pull": ("Download an image from a registry", "image.pull:PULL"),
    "push": ("Upload an image to a registry", "image.push:PUSH"),
    "images": ("List images", "image.list:LS"),
    "login": ("Authenticate to a registry", "registry.login:LOGIN"),
    "logout": ("Log out from a registry", "registry.logout:LOGOUT"),
    "search": ("Search Docker Hub for images", "registry.search:SEARCH"),
    "version": ("Show the wherry version information", "system.version:VERSION"),
    "info": ("Display system-wide information", "system.info:INFO"),
}

TOP: Table = {
    "attach": (
        "Attach local standard input, output, and error streams to a running container",
        "container.attach:ATTACH",
    ),
    "commit": ("Create a new image from a container's changes", "container.commit:COMMIT"),
    "cp": ("Copy files/folders between a container and the local filesystem", ""),
    "create": ("Create a new container", "container.create:CREATE"),
    "diff": ("Inspect changes to files or directories on a container's filesystem", "container.diff:DIFF"),
    "events": ("Get real time events from the server", "system.events:EVENTS"),
    "export": ("Export a container's filesystem as a tar archive", "container.export:EXPORT"),
    "history": ("Show the history of an image", "image.history:HISTORY"),
    "import": ("Import the contents from a tarball to create a filesystem image", "image.archive:IMPORT"),
    "inspect": ("Return low-level information on Docker objects", "inspect:INSPECT"),
    "kill": ("Kill one or more running containers", "container.lifecycle:KILL"),
    "load": ("Load an image from a tar archive or STDIN", "image.archive:LOAD"),
    "logs": ("Fetch the logs of a container", "container.logs:LOGS"),
    "pause": ("Pause all processes within one or more containers", "container.lifecycle:PAUSE"),
    "port": ("List port mappings or a specific mapping for the container", "container.port:PORT"),
    "rename": ("Rename a container", "container.lifecycle:RENAME"),
    "restart": ("Restart one or more containers", "container.lifecycle:RESTART"),
    "rm": ("Remove one or more containers", "container.lifecycle:RM"),
    "rmi": ("Remove one or more images", "image.remove:RMI"),
    "save": ("Save one or more images to a tar archive (streamed to STDOUT by default)", "image.archive:SAVE"),
    "start": ("Start one or more stopped containers", "container.start:START"),
    "stats": ("Display a live stream of container(s) resource usage statistics", "container.stats:STATS"),
    "stop": ("Stop one or more running containers", "container.lifecycle:STOP"),
    "tag": ("Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", "image.tag:TAG"),
    "top": ("Display the running processes of a container", "container.top:TOP"),
    "unpause": ("Unpause all processes within one or more containers", "container.lifecycle:UNPAUSE"),
    "update": ("Update configuration of one or more containers", "container.update:UPDATE"),
    "wait": ("Block until one or more containers stop, then print their exit codes", "container.wait:WAIT"),
}

_CONTAINER: Table = {
    "attach": TOP["attach"],
    "commit": TOP["commit"],
    "cp": TOP["cp"],
    "create": TOP["create"],
    "diff": TOP["diff"],
    "exec": COMMON["exec"],
    "export": TOP["export"],
    "inspect": ("Display detailed information on one or more containers", "container.inspect:INSPECT"),
    "kill": TOP["kill"],
    "logs": TOP["logs"],
    "ls": COMMON["ps"],
    "pause": TOP["pause"],
    "port": TOP["port"],
    "prune": ("Remove all stopped containers", "container.prune:PRUNE"),
    "rename": TOP["rename"],
    "restart": TOP["restart"],
    "rm": TOP["rm"],
    "run": COMMON["run"],
    "start": TOP["start"],
    "stats": TOP["stats"],
    "stop": TOP["stop"],
    "top": TOP["top"],
    "unpause": TOP["unpause"],
    "update": TOP["update"],
    "wait": TOP["wait"],
}

_IMAGE: Table = {
    "build": COMMON["build"],
    "history": TOP["history"],
    "import": TOP["import"],
    "inspect": ("Display detailed information on one or more images", "image.inspect:INSPECT"),
    "load": TOP["load"],
    "ls": ("List images", "image.list:LS"),
    "prune": ("Remove unused images", "image.prune:PRUNE"),
    "pull": COMMON["pull"],
    "push": COMMON["push"],
    "rm": TOP["rmi"],
    "save": TOP["save"],
    "tag": TOP["tag"],
}

_NETWORK: Table = {
    "connect": ("Connect a container to a network", "network.connect:CONNECT"),
    "create": ("Create a network", "network.create:CREATE"),
    "disconnect": ("Disconnect a container from a network", "network.connect:DISCONNECT"),
    "inspect": ("Display detailed information on one or more networks", "network.inspect:INSPECT"),
    "ls": ("List networks", "network.list:LS"),
    "prune": ("Remove all unused networks", "network.prune:PRUNE"),
    "rm": ("Remove one or more networks", "network.remove:RM"),
}

_VOLUME: Table = {
    "create": ("Create a volume", "volume:CREATE"),
    "inspect": ("Display detailed information on one or more volumes", "volume:INSPECT"),
    "ls": ("List volumes", "volume:LS"),
    "prune": ("Remove unused local volumes", "volume:PRUNE"),
    "rm": ("Remove one or more volumes", "volume:RM"),
    "update": ("Update a volume (cluster volumes only)", ""),
}

_MANIFEST: Table = {
    "annotate": ("Add additional information to a local image manifest", "manifest.annotate:ANNOTATE"),
    "create": ("Create a local manifest list for annotating and pushing to a registry", "manifest.create:CREATE"),
    "inspect": ("Display an image manifest, or manifest list", "manifest.inspect:INSPECT"),
    "push": ("Push a manifest list to a repository", "manifest.push:PUSH"),
    "rm": ("Delete one or more manifest lists from local storage", "manifest.remove:REMOVE"),
}

_SYSTEM: Table = {
    "df": ("Show wherry disk usage", "system.df:DF"),
    "events": TOP["events"],
    "fsck": ("Check state, disk and kernel against each other, and repair what differs", "system.fsck:FSCK"),
    "info": COMMON["info"],
    "prune": ("Remove unused data", "system.prune:PRUNE"),
}

GROUPS: dict[str, tuple[str, Table]] = {
    "builder": ("Manage builds", {}),
    "checkpoint": ("Manage checkpoints", {}),
    "container": ("Manage containers", _CONTAINER),
    "context": ("Manage contexts", {}),
    "image": ("Manage images", _IMAGE),
    "manifest": ("Manage Docker image manifests and manifest lists", _MANIFEST),
    "network": ("Manage networks", _NETWORK),
    "plugin": ("Manage plugins", {}),
    "system": ("Manage wherry", _SYSTEM),
    "trust": ("Manage trust on Docker images", {}),
    "volume": ("Manage volumes", _VOLUME),
    "config": ("Manage Swarm configs", {}),
    "node": ("Manage Swarm nodes", {}),
    "secret": ("Manage Swarm secrets", {}),
    "service": ("Manage Swarm services", {}),
    "stack": ("Manage Swarm stacks", {}),
    "swarm": ("Manage Swarm", {}),
}

ALIASES: dict[str, dict[str, str]] = {
    "container": {"ps": "ls", "list": "ls", "remove": "rm"},
    "image": {"list": "ls", "rmi": "rm", "remove": "rm"},
    "network": {"list": "ls", "remove": "rm"},
    "volume": {"list": "ls", "remove": "rm"},
}


def find(words: list[str]) -> tuple[str, Row | None]:
    """The command's own name, and its row; None if docker has no such command either."""
    if len(words) == 1:
        return words[0], COMMON.get(words[0]) or TOP.get(words[0])
    group, name = words
    name = ALIASES.get(group, {}).get(name, name)
    return f"{group} {name}", GROUPS[group][1].get(name)
