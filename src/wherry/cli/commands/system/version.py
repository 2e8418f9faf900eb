"""``wherry version``: ours and the daemon's."""

from __future__ import annotations

import os
import sys

from wherry import __version__
from wherry.cli.common import INSPECT_FORMAT
from wherry.cli.errors import CliError
from wherry.cli.flags import Command
from wherry.cli.format.table import align
from wherry.client import system
from wherry.client.client import NEWEST
from wherry.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_ENGINE = (
    ("API version", "ApiVersion"),
    ("Go version", "GoVersion"),
    ("Git commit", "GitCommit"),
    ("Built", "BuildTime"),
    ("OS/Arch", ""),
    ("Experimental", "Experimental"),
)
_SHIFTS = (0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4)
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def architecture() -> str:
    """The machine, as Go names it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def client_version(app: App, *, api: str) -> dict[str, Any]:
    """The client's part of ``version`` and ``info``."""
    return {
        "Version": __version__,
        "ApiVersion": api,
        "DefaultAPIVersion": NEWEST,
        "PythonVersion": "{}.{}.{}".format(*sys.version_info[:3]),
        "Os": "linux",
        "Arch": architecture(),
        "Context": app.context(),
    }


def _run(app: App, options: Parsed) -> int:
    template = options["format"]
    if template:
        from wherry.cli.commands.system.version_template import compiled

        compiled(template)  # a bad template is told before the daemon is asked
    failure: ClientError | None = None
    server: dict[str, Any] | None = None
    try:
        server = _with_engine(system.version(app.client))
        api = app.client.version
    except ClientError as error:
        failure, api = error, NEWEST
    client = client_version(app, api=api)
    if template:
        from wherry.cli.commands.system.version_template import rendered

        app.out(rendered(app, template, client, server))
    else:
        app.out(align("\n".join(_text(client, server)), minimum=20, padding=1) + "\n")
    if failure is not None:
        raise CliError(str(failure)) from failure
    return 0


def _with_engine(server: dict[str, Any]) -> dict[str, Any]:
    """Daemons older than components have none: the engine is one nevertheless."""
    components = server.setdefault("Components", None) or []
    if not any(component.get("Name") == "Engine" for component in components):
        details = {
            "ApiVersion": server.get("ApiVersion", ""),
            "MinAPIVersion": server.get("MinAPIVersion", ""),
            "GitCommit": server.get("GitCommit", ""),
            "GoVersion": server.get("GoVersion", ""),
            "Os": server.get("Os", ""),
            "Arch": server.get("Arch", ""),
            "BuildTime": server.get("BuildTime", ""),
            "Experimental": "true" if server.get("Experimental") else "false",
        }
        components = [*components, {"Name": "Engine", "Version": server.get("Version", ""), "Details": details}]
    for component in components:
        if component.get("Name") == "Engine" and "BuildTime" in (component.get("Details") or {}):
            component["Details"]["BuildTime"] = _ansic(component["Details"]["BuildTime"])
    server["Components"] = components
    return server


def _ansic(text: str) -> str:
    """2026-05-07T21:09:36.0+00:00 as "Thu May  7 21:09:36 2026"; anything else as it is.

    By hand, because ``time.strptime`` imports ``locale``, ``datetime`` and ``re``: 30 ms.
    """
    day, _, clock = text[:19].partition("T")
    parts = day.split("-")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts) or not 1 <= int(parts[1]) <= 12:
        return text
    year, month, number = map(int, parts)
    before = year - (month < 3)  # Sakamoto's day of the week
    weekday = (before + before // 4 - before // 100 + before // 400 + _SHIFTS[month - 1] + number) % 7
    return f"{_DAYS[weekday]} {_MONTHS[month - 1]} {number:2} {clock} {year}"


def _text(client: dict[str, Any], server: dict[str, Any] | None) -> list[str]:
    api, newest = client["ApiVersion"], client["DefaultAPIVersion"]
    lines = [
        "Client: wherry",
        f" Version:\t{client['Version']}",
        f" API version:\t{api}" + (f" (downgraded from {newest})" if api != newest else ""),
        f" Python version:\t{client['PythonVersion']}",
        f" OS/Arch:\t{client['Os']}/{client['Arch']}",
        f" Context:\t{client['Context']}",
    ]
    if server is None:
        return lines
    platform = (server.get("Platform") or {}).get("Name", "")
    lines += ["", f"Server: {platform}" if platform else "Server:"]
    for component in server["Components"]:
        details = component.get("Details") or {}
        lines.append(f" {component['Name']}:")
        if component["Name"] == "Engine":
            lines.append(f"  Version:\t{server.get('Version', '')}")
            lines += [f"  {label}:\t{_detail(details, key)}" for label, key in _ENGINE if key in details or not key]
        else:
            lines.append(f"  Version:\t{component.get('Version', '')}")
            lines += [f"  {name}:\t{details[name]}" for name in sorted(details)]
    return lines


def _detail(details: dict[str, str], key: str) -> str:
    if not key:
        return f"{details.get('Os', '')}/{details.get('Arch', '')}"
    if key == "ApiVersion":
        return f"{details[key]} (minimum version {details.get('MinAPIVersion', '')})"
    return details[key]


VERSION = Command(
    _run,
    usage="[OPTIONS]",
    short="Show the wherry version information",
    options=(INSPECT_FORMAT,),
    maximum=0,
)
