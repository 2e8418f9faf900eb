"""What every ``inspect`` shares: documents as the daemon wrote them, indented or through a template."""

from __future__ import annotations

from wherry.cli.errors import CliError
from wherry.client.errors import ClientError
from wherry.client.jsonio import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.format.template.engine import Template

    Fetch = Callable[[str], bytes]

_BAD_TEMPLATE = 64

_ALIASES = {
    "ID": "Id",
    "DNS": "Dns",
    "DNSOptions": "DnsOptions",
    "DNSSearch": "DnsSearch",
    "CPUShares": "CpuShares",
    "NanoCPUs": "NanoCpus",
    "CPUPeriod": "CpuPeriod",
    "CPUQuota": "CpuQuota",
    "CPURealtimePeriod": "CpuRealtimePeriod",
    "CPURealtimeRuntime": "CpuRealtimeRuntime",
    "CPUCount": "CpuCount",
    "CPUPercent": "CpuPercent",
    "HostIP": "HostIp",
    "EnableIPv4": "EnableIPv4",
}
"""Names of Go's fields where JSON has another: docker's templates know both."""

_OMITTED: dict[str, dict[str, object]] = {
    "State": {"Health": None},
    "Config": {"Healthcheck": None, "ExposedPorts": {}, "StopSignal": "", "StopTimeout": None, "Shell": []},
    "HostConfig": {
        "Tmpfs": {},
        "Sysctls": {},
        "Mounts": [],
        "StorageOpt": {},
        "Init": None,
        "Runtime": "",
        "Annotations": {},
    },
    "": {"SizeRw": None, "SizeRootFs": None, "Node": None},
}
"""What a container's JSON leaves out when it is empty, and Go's fields hold nevertheless."""


_POINTERS = frozenset(
    "Health Healthcheck IPAMConfig MemorySwappiness OomKillDisable PidsLimit Init StopTimeout Node SizeRw SizeRootFs"
    " BindOptions VolumeOptions TmpfsOptions ImageOptions DriverConfig Error ConfigFrom ContainerConfig Platform"
    " Descriptor".split()
)
_MAPS = frozenset(
    "Annotations Config Containers DriverOpts ExposedPorts Labels Networks Options PortBindings Ports Status StorageOpt"
    " Sysctls Tmpfs Volumes Data".split()
)
"""A null in JSON is for Go a nil pointer, a nil map or, anything else, a nil slice: templates see the difference."""


def inspect(app: App, names: list[str], template: str, fetch: Fetch) -> int:
    """Print what ``fetch`` gets for each name; then the errors, all at once."""
    compiled = None if template in {"", "json"} else _compile(template)
    documents: list[str] = []
    errors: list[str] = []
    for name in names:
        try:
            raw = fetch(name)
            documents.append(_rendered(compiled, raw) if compiled else raw.decode("utf-8", "replace"))
        except (CliError, ClientError) as error:
            errors.append(str(error))
    _print(app, documents, template)
    if errors:
        raise CliError("\n".join(errors))
    return 0


def _print(app: App, documents: list[str], template: str) -> None:
    if template not in {"", "json"}:
        app.out("".join(documents) or "\n")
        return
    from wherry.cli.format import gojson

    if not documents:
        app.line("[]")
        return
    whole = f"[{','.join(documents)}]"
    app.line(gojson.indent(whole) if not template else gojson.compact(whole))


def _compile(template: str) -> Template:
    from wherry.cli.format.template.engine import Template, TemplateError

    try:
        return Template(template, strict=True)
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}", _BAD_TEMPLATE) from error


def _rendered(template: Template, raw: bytes) -> str:
    from wherry.cli.format.template.engine import TemplateError

    try:
        return template.render(_filled(loads(raw))) + "\n"
    except TemplateError:
        pass  # as docker does: once with Go's structure, then with the JSON as it is, whose error is the one to show
    try:
        return template.render(loads(raw)) + "\n"
    except TemplateError as error:
        raise CliError(f"template parsing error: {error}") from error


class Document(dict[str, object]):
    """A JSON object that answers to Go's names of its fields too."""

    def __missing__(self, key: str) -> object:
        return self[_ALIASES[key]]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key in _ALIASES and super().__contains__(_ALIASES[str(key)]))


def _filled(value: Any) -> Any:
    """The document with what JSON leaves out, if it is a container's."""
    document = _named(value)
    if isinstance(document, dict) and "HostConfig" in document and "State" in document:
        for name, fields in _OMITTED.items():
            part = document.get(name) if name else document
            if isinstance(part, dict):
                for key, empty in fields.items():
                    part.setdefault(key, empty)
    return document


def _named(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return Document({key: _named(one, key) for key, one in value.items()})
    if isinstance(value, list):
        return [_named(one) for one in value]
    if value is None and name and name not in _POINTERS:
        from wherry.cli.format.template.printing import NilList, NilMap

        return NilMap() if name in _MAPS else NilList()
    return value
