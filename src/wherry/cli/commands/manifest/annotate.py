"""``wherry manifest annotate``: say what a manifest of a list runs on."""

from __future__ import annotations

from wherry.cli.drafts import Drafts, name_of
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

_ARCHITECTURES = {
    "darwin": "386 amd64 arm arm64",
    "dragonfly": "amd64",
    "freebsd": "386 amd64 arm",
    "linux": "386 amd64 arm arm64 mips64 mips64le ppc64le riscv64 s390x",
    "netbsd": "386 amd64 arm",
    "openbsd": "386 amd64 arm",
    "plan9": "386 amd64",
    "solaris": "amd64",
    "windows": "386 amd64",
}
"""What docker accepts in a list."""


def _run(app: App, options: Parsed) -> int:
    given, image = options.args
    target = name_of(given, f"annotate: error parsing name for manifest list {given}: ")
    named = name_of(image, f"annotate: error parsing name for manifest {image}: ")
    drafts = Drafts(app.config)
    name = target.full
    entry = drafts.get(name, named.full)
    if entry is None:
        raise CliError(f"manifest for image {image} does not exist in {given}")
    platform = entry.platform
    for option, member in (
        ("os", "os"),
        ("arch", "architecture"),
        ("variant", "variant"),
        ("os-version", "os.version"),
    ):
        if options[option]:
            platform[member] = options[option]
    if options["os-features"]:
        platform["os.features"] = list(dict.fromkeys([*platform.get("os.features", []), *options["os-features"]]))
    if platform.get("architecture") not in _ARCHITECTURES.get(platform.get("os", ""), "").split():
        wanted = f"{options['os']}/{options['arch']}"
        raise CliError(f"manifest entry for image has unsupported os/arch combination: {wanted}")
    drafts.save(name, entry)
    return 0


ANNOTATE = Command(
    _run,
    usage="[OPTIONS] MANIFEST_LIST MANIFEST",
    short="Add additional information to a local image manifest",
    options=(
        Option("arch", "", "string", "Set architecture"),
        Option("os", "", "string", "Set operating system"),
        Option("os-features", "", "strings", "Set operating system feature"),
        Option("os-version", "", "string", "Set operating system version"),
        Option("variant", "", "string", "Set architecture variant"),
    ),
    minimum=2,
    maximum=2,
)
