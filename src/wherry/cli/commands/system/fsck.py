"""``wherry system fsck``: what differs between state, disk and kernel. Exits 0 when nothing does, 1 otherwise."""

from __future__ import annotations

from wherry.cli.app import is_terminal
from wherry.cli.flags import Command, Option
from wherry.cli.format.table import table
from wherry.client import system
from wherry.client.jsonio import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_SUBJECT = 19
"""As much of a digest as is shown unless ``--no-trunc`` is given."""


def _run(app: App, options: Parsed) -> int:
    query = {"repair": "1" if options["repair"] else "0", "deep": "1" if options["deep"] or options["verify"] else "0"}
    response = system.fsck(app.client, query)
    findings: list[dict[str, Any]] = []
    summary: dict[str, int] = {}
    for line in response.lines():
        document = loads(line)
        if "Finding" in document:
            findings.append(document["Finding"])
        elif "Check" in document and not options["quiet"]:
            _progress(app, document["Check"])
        elif "Summary" in document:
            summary = document["Summary"]
    if not summary:
        app.complain("the check was cut short")
        return 1
    if options["format"] == "json":
        app.line(dumps({"Findings": findings, **summary}))
    else:
        _show(app, findings, summary, whole=options["no-trunc"], repair=options["repair"])
    return 1 if summary["Left"] else 0


def _progress(app: App, check: dict[str, Any]) -> None:
    """Checks as they end, on a terminal only."""
    if is_terminal(2):
        app.complain(f"{check['Name']}: {check['Found'] or 'no'} differences")


def _show(app: App, findings: list[dict[str, Any]], summary: dict[str, int], *, whole: bool, repair: bool) -> None:
    if findings:
        rows = [("KIND", "SUBJECT", "PROBLEM", "OUTCOME" if repair else "REPAIR")]
        rows += [
            (
                one["Kind"],
                one["Subject"] if whole else _short(one["Subject"]),
                one["Problem"],
                _outcome(one, repair=repair),
            )
            for one in findings
        ]
        app.out(table(rows))
    if not summary["Found"]:
        app.line("clean: state, disk and kernel agree")
    elif repair:
        app.line(f"{summary['Found']} differences, {summary['Mended']} mended, {summary['Left']} left")
    else:
        app.line(f"{summary['Found']} differences: wherry system fsck --repair mends what can be mended")


def _outcome(finding: dict[str, Any], *, repair: bool) -> str:
    if not repair:
        return str(finding["Remedy"])
    if finding["Mended"]:
        return f"mended: {finding['Remedy']}"
    return f"left: {finding['Error'] or finding['Remedy']}"


def _short(subject: str) -> str:
    return subject[:_SUBJECT] if subject.startswith("sha256:") else subject[:12] if len(subject) == 64 else subject


FSCK = Command(
    _run,
    usage="[OPTIONS]",
    short="Check state, disk and kernel against each other, and repair what differs",
    options=(
        Option("deep", "", "bool", "Read every blob and layer, and compare every byte"),
        Option("format", "", "string", 'Format output: "json", or a table'),
        Option("no-trunc", "", "bool", "Don't truncate output"),
        Option("quiet", "q", "bool", "Do not tell which checks are done"),
        Option("repair", "", "bool", "Mend what differs"),
        Option("verify", "", "bool", "Same as --deep"),
    ),
    maximum=0,
)
