"""``wherry info``: the daemon's state and settings."""

from __future__ import annotations

from wherry.cli.commands.system.version import client_version
from wherry.cli.common import INSPECT_FORMAT
from wherry.cli.errors import CliError
from wherry.cli.flags import Command
from wherry.cli.format.units import bytes_size
from wherry.client import system
from wherry.client.errors import ApiError, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_BAD_TEMPLATE = 64


def _run(app: App, options: Parsed) -> int:
    template = options["format"]
    client = {"Debug": app.settings["debug"], **client_version(app, api=""), "Plugins": [], "Warnings": None}
    del client["ApiVersion"]
    if template:
        return _formatted(app, template, client)
    app.out("Client: wherry\n" + _client_text(client) + "\nServer:\n")
    try:
        info = system.info(app.client)
    except ApiError as error:
        app.complain(f"ERROR: {error}")
        raise CliError("errors pretty printing info") from error
    app.out("".join(f"{line}\n" for line in _server_text(info, debug=client["Debug"])) + "\n")
    for warning in info.get("Warnings") or []:
        app.complain(warning)
    return 0


def _formatted(app: App, template: str, client: dict[str, Any]) -> int:
    from wherry.cli.format.template.engine import Struct, Template, TemplateError

    failure: ClientError | None = None
    info: dict[str, Any] = {}
    try:
        info = system.info(app.client)
    except ApiError as error:
        app.complain(error)
        info = {"ServerErrors": [str(error)]}
    except ClientError as error:
        failure = error
    if template in {"json", "{{json .}}"}:
        from wherry.cli.format.gojson import encode

        app.line(encode({**info, "ClientInfo": client}))
    else:
        try:
            compiled = Template(template)
        except TemplateError as error:
            raise CliError(f"template parsing error: {error}", _BAD_TEMPLATE) from error
        data = {"ServerErrors": [], "ClientErrors": [], **info, "ClientInfo": Struct("*system.clientInfo", client)}
        try:
            app.line(compiled.render(Struct("system.dockerInfo", data)))
        except TemplateError as error:
            app.line("")
            raise CliError(str(error)) from error
    if failure is not None:
        raise CliError(str(failure)) from failure
    return 0


def _client_text(client: dict[str, Any]) -> str:
    debug = "true" if client["Debug"] else "false"
    return f" Version:    {client['Version']}\n Context:    {client['Context']}\n Debug Mode: {debug}\n"


def _server_text(info: dict[str, Any], *, debug: bool) -> list[str]:
    lines = [
        f" Containers: {info.get('Containers', 0)}",
        f"  Running: {info.get('ContainersRunning', 0)}",
        f"  Paused: {info.get('ContainersPaused', 0)}",
        f"  Stopped: {info.get('ContainersStopped', 0)}",
        f" Images: {info.get('Images', 0)}",
        *_present(info, ("Server Version", "ServerVersion"), ("Storage Driver", "Driver")),
        *(f"  {name}: {value}" for name, value in info.get("DriverStatus") or []),
        *_present(
            info,
            ("Logging Driver", "LoggingDriver"),
            ("Cgroup Driver", "CgroupDriver"),
            ("Cgroup Version", "CgroupVersion"),
        ),
        *_plugins(info.get("Plugins") or {}),
        *_listed(" CDI spec directories:", info.get("CDISpecDirs")),
        *_swarm(info.get("Swarm") or {}),
        *_runtimes(info),
        *_present(
            info,
            ("Kernel Version", "KernelVersion"),
            ("Operating System", "OperatingSystem"),
            ("OSType", "OSType"),
            ("Architecture", "Architecture"),
        ),
        f" CPUs: {info.get('NCPU', 0)}",
        f" Total Memory: {bytes_size(info.get('MemTotal', 0))}",
        *_present(info, ("Name", "Name"), ("ID", "ID")),
        f" Docker Root Dir: {info.get('DockerRootDir', '')}",
        f" Debug Mode: {_word(info.get('Debug'))}",
    ]
    if info.get("Debug") or debug:
        lines += [
            f"  File Descriptors: {info.get('NFd', 0)}",
            f"  Goroutines: {info.get('NGoroutines', 0)}",
            f"  System Time: {info.get('SystemTime', '')}",
            f"  EventsListeners: {info.get('NEventsListener', 0)}",
        ]
    return [*lines, *_settings(info)]


def _settings(info: dict[str, Any]) -> list[str]:
    registries = info.get("RegistryConfig") or {}
    lines = [
        *_present(info, ("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")),
        *_listed(" Labels:", info.get("Labels")),
        f" Experimental: {_word(info.get('ExperimentalBuild'))}",
        *_insecure(registries),
        *_listed(" Registry Mirrors:", registries.get("Mirrors")),
        f" Live Restore Enabled: {_word(info.get('LiveRestoreEnabled'))}",
        *_present(info, ("Product License", "ProductLicense")),
    ]
    pools = info.get("DefaultAddressPools") or []
    if pools:
        lines.append(" Default Address Pools:")
        lines += [f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools]
    return lines


def _present(info: dict[str, Any], *rows: tuple[str, str]) -> list[str]:
    return [f" {label}: {info[key]}" for label, key in rows if info.get(key)]


def _listed(title: str, values: list[str] | None) -> list[str]:
    return [title, *(f"  {value}" for value in values)] if values else []


def _word(value: object) -> str:
    return "true" if value else "false"


def _plugins(plugins: dict[str, list[str] | None]) -> list[str]:
    lines = [" Plugins:"]
    for kind in ("Volume", "Network", "Authorization", "Log"):
        names = plugins.get(kind) or []
        if names or kind != "Authorization":
            lines.append(f"  {kind}: {' '.join(names)}")
    return lines


def _swarm(swarm: dict[str, Any]) -> list[str]:
    state = swarm.get("LocalNodeState", "")
    lines = [f" Swarm: {state}"]
    if state in {"inactive", "locked"}:
        return lines
    lines.append(f"  NodeID: {swarm.get('NodeID', '')}")
    if swarm.get("Error"):
        lines.append(f"  Error: {swarm['Error']}")
    return [
        *lines,
        f"  Is Manager: {_word(swarm.get('ControlAvailable'))}",
        f"  Node Address: {swarm.get('NodeAddr', '')}",
    ]


def _runtimes(info: dict[str, Any]) -> list[str]:
    lines = []
    if info.get("Runtimes"):
        lines += [f" Runtimes: {' '.join(info['Runtimes'])}", f" Default Runtime: {info.get('DefaultRuntime', '')}"]
    if info.get("OSType") == "linux":
        lines.append(f" Init Binary: {info.get('InitBinary', '')}")
        for label, key in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
            lines.append(f" {label} version: {(info.get(key) or {}).get('ID', '')}")
        lines += _security(info.get("SecurityOptions") or [])
    return lines


def _security(options: list[str]) -> list[str]:
    lines = [" Security Options:"] if options else []
    for option in options:
        pairs = dict(one.partition("=")[::2] for one in option.split(",")) if "=" in option else {"name": option}
        lines.append(f"  {pairs.get('name', '')}")
        if "profile" in pairs:
            lines.append(f"   Profile: {pairs['profile']}")
    return lines


def _insecure(registries: dict[str, Any]) -> list[str]:
    indexes = (registries.get("IndexConfigs") or {}).values()
    ranges = registries.get("InsecureRegistryCIDRs") or []
    if not indexes and not ranges:
        return []
    return [
        " Insecure Registries:",
        *(f"  {index['Name']}" for index in indexes if not index.get("Secure")),
        *(f"  {one}" for one in ranges),
    ]


INFO = Command(
    _run,
    usage="[OPTIONS]",
    short="Display system-wide information",
    options=(INSPECT_FORMAT,),
    maximum=0,
    aliases="system info, info",
)
