"""Build the registry's own image without a network, a base image or a builder: ``tools/registry_image.py [NAME]``.

The root is this machine's interpreter, the standard library, the packages that the registry imports, and the shared
libraries that all of these need. It is packed with fixed times, owners and order, so that the same files give the same
bytes, and handed to a daemon by ``docker import`` (to $DOCKER_HOST, as ever; NAME is ``registry:2`` unless given).

    /usr/bin/python3.N, /usr/lib/python3.N, /usr/lib/<shared libraries>
    /usr/lib/wherry/          wherry and the packages
    /usr/bin/registry         what `docker exec` calls: registry serve | garbage-collect CONFIG
    /entrypoint               what the container runs: CONFIG alone means `serve CONFIG`
    /etc/docker/registry/config.yml

``--output FILE`` writes the archive and asks no daemon.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"usr/lib/{PYTHON}"
PACKAGES = "usr/lib/wherry"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1704067200"))
"""Seconds: the time of every file."""

UNUSED = frozenset(
    "test tests idlelib tkinter turtledemo turtle.py lib2to3 ensurepip distutils venv pydoc_data pydoc.py unittest "
    "curses dbm sqlite3 __pycache__ site-packages dist-packages config sitecustomize.py antigravity.py".split()
)
"""Of the standard library; the registry imports none of it."""
UNUSED_EXTENSIONS = re.compile(
    r"(_test|_ctypes_test|xx|_xx|_curses|_dbm|_gdbm|_tkinter|_sqlite3|readline|nis|ossaudio)"
)

CHANGES = (
    'ENTRYPOINT ["/entrypoint"]',
    'CMD ["/etc/docker/registry/config.yml"]',
    'VOLUME ["/var/lib/registry"]',
    "EXPOSE 5000",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)

CONFIG = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""

REGISTRY = f"""\
#!/usr/bin/{PYTHON} -IS
import sys

sys.path.append("/{PACKAGES}")
sys.dont_write_bytecode = True
from wherry.registry.main import main

sys.exit(main())
"""

ENTRYPOINT = f"""\
#!/usr/bin/{PYTHON} -IS
import os
import sys

arguments = sys.argv[1:]
if arguments and arguments[0].endswith((".yml", ".yaml")):
    arguments = ["serve", *arguments]
if not arguments or arguments[0] in ("serve", "garbage-collect", "help") or arguments[0].startswith("-"):
    if arguments[:1] == ["serve"]:
        # As process 1 it would not get a signal that it does not wait for yet; a blocked one stays until it does.
        import _signal

        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT))
    sys.argv[1:] = arguments
    sys.path.append("/{PACKAGES}")
    sys.dont_write_bytecode = True
    from wherry.registry.main import main

    sys.exit(main())
try:
    os.execvp(arguments[0], arguments)
except OSError as error:
    sys.exit(f"{{arguments[0]}}: {{error.strerror}}")
"""

IMPORTS = """
import importlib, json, pkgutil, sys
sys.path += sys.argv[1:]
import wherry.registry
for module in pkgutil.walk_packages(wherry.registry.__path__, "wherry.registry."):
    importlib.import_module(module.name)
import _strptime, encodings.idna, encodings.latin_1, encodings.ascii, concurrent.futures.thread
files = [[name, getattr(module, "__file__", None)] for name, module in sys.modules.items()]
print(json.dumps([[name, file] for name, file in files if file]))
"""


class Root:
    """The files of the image, by their paths in it."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, int]] = {}
        self.links: dict[str, str] = {}

    def add(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.files[path] = (data, mode)

    def copy(self, source: Path, path: str) -> None:
        self.add(path, source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def pack(self) -> bytes:
        """The root as a tar archive."""
        directories = {"var/lib/registry", "tmp", "root", "proc", "sys", "dev"}
        for path in (*self.files, *self.links, *directories):
            directories |= {str(parent) for parent in Path(path).parents if str(parent) != "."}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path in sorted(directories):
                entry = _entry(path, tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755)
                archive.addfile(entry)
            for path in sorted(self.links):
                entry = _entry(path, tarfile.SYMTYPE, 0o777)
                entry.linkname = self.links[path]
                archive.addfile(entry)
            for path in sorted(self.files):
                data, mode = self.files[path]
                entry = _entry(path, tarfile.REGTYPE, mode)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return out.getvalue()


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.mtime = kind, mode, EPOCH
    entry.uname = entry.gname = "root"
    return entry


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the registry's image.")
    parser.add_argument("name", nargs="?", default="registry:2")
    parser.add_argument("--output", metavar="FILE", help="write the root file system here; import nothing")
    options = parser.parse_args()
    archive = build().pack()
    if options.output:
        Path(options.output).write_bytes(archive)
        return 0
    return load(archive, options.name)


def build() -> Root:
    """The image's root file system."""
    root = Root()
    imported = dict(
        json.loads(subprocess.run([sys.executable, "-c", IMPORTS], stdout=subprocess.PIPE, check=True).stdout)
    )
    compiled = {os.path.realpath(path) for path in imported.values()}
    _add_interpreter(root, compiled)
    _add_packages(root, imported, compiled)
    _add_libraries(root)
    for path, text, mode in (
        ("etc/docker/registry/config.yml", CONFIG, 0o644),
        ("usr/bin/registry", REGISTRY, 0o755),
        ("entrypoint", ENTRYPOINT, 0o755),
        ("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n", 0o644),
        ("etc/group", "root:x:0:\n", 0o644),
        ("etc/nsswitch.conf", "hosts: files dns\n", 0o644),
    ):
        root.add(path, text.encode(), mode)
    for name in ("bin", "sbin", "lib", "lib64"):
        root.links[name] = f"usr/{name}"
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        root.copy(certificates, "etc/ssl/certs/ca-certificates.crt")
        root.links["etc/ssl/cert.pem"] = "certs/ca-certificates.crt"
    return root


def _add_interpreter(root: Root, compiled: set[str]) -> None:
    root.copy(Path(os.path.realpath(sys.executable)), f"usr/bin/{PYTHON}")
    root.links["usr/bin/python3"] = PYTHON
    bases = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    for top in sorted({Path(sysconfig.get_path(kind, vars=bases)) for kind in ("stdlib", "platstdlib")}):
        for source in _walk(top, UNUSED):
            extension = source.suffix == ".so"
            if source.suffix != ".py" and not extension:
                continue
            if extension and UNUSED_EXTENSIONS.match(source.name):
                continue
            _add_module(root, source, f"{LIBRARY}/{source.relative_to(top)}", compiled)


def _add_packages(root: Root, imported: dict[str, str], compiled: set[str]) -> None:
    """wherry's modules as far as they are imported, and the distributions to which the other packages belong."""
    source = PROJECT / "src"
    owners = metadata.packages_distributions()
    wanted: set[str] = set()
    for name, path in imported.items():
        top = name.partition(".")[0]
        if top == "wherry":
            _add_module(root, Path(path), f"{PACKAGES}/{Path(path).relative_to(source)}", compiled)
        elif "site-packages" in path:
            wanted.update(owners.get(top, ()))
    for name in sorted(wanted - {"wherry"}):
        for file in metadata.files(name) or ():
            located = Path(str(file.locate()))
            if located.suffix in (".py", ".so") and ".." not in file.parts:
                _add_module(root, located, f"{PACKAGES}/{file}", compiled)


def _add_module(root: Root, source: Path, path: str, compiled: set[str]) -> None:
    """A module, with its code where the registry needs it, so that nothing is compiled when it starts."""
    root.copy(source, path)
    if source.suffix != ".py" or os.path.realpath(source) not in compiled:
        return
    with tempfile.NamedTemporaryFile() as scratch:
        never_stale = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(source), scratch.name, f"/{path}", doraise=True, invalidation_mode=never_stale)
        root.add(importlib.util.cache_from_source(path), Path(scratch.name).read_bytes())


def _add_libraries(root: Root) -> None:
    """The shared libraries that the interpreter and all extensions are linked with, and the loader."""
    pending = [Path(os.path.realpath(sys.executable))]
    names = {path for path in root.files if path.endswith(".so")}
    pending += _sources(names)
    for library in sorted(set(_linked(pending))):
        real = Path(os.path.realpath(library))
        place = library if library.startswith(("/lib", "/usr/lib")) else f"/usr/lib/{real.name}"
        root.copy(real, (place if place.startswith("/usr") else f"/usr{place}").lstrip("/"))


def _sources(paths: Iterable[str]) -> Iterator[Path]:
    """Where the extensions of the image came from."""
    for path in paths:
        if path.startswith(PACKAGES):
            yield Path(sysconfig.get_path("purelib")) / Path(path).relative_to(PACKAGES)
        else:
            top = sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})
            yield Path(top) / Path(path).relative_to(LIBRARY)


def _linked(files: Iterable[Path]) -> Iterator[str]:
    """The absolute paths that ldd tells."""
    said = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False)
    for line in said.stdout.splitlines():
        match = re.search(r"(?:=> )?(/\S+) \(0x", line)
        if match is not None:
            yield match[1]
        elif "not found" in line:
            raise SystemExit(f"registry_image: a shared library is missing: {line.strip()}")


def _walk(top: Path, skipped: frozenset[str]) -> Iterator[Path]:
    for directory, names, files in os.walk(top):
        names[:] = sorted(name for name in names if name not in skipped and not name.startswith("config-"))
        yield from (Path(directory, file) for file in sorted(files) if file not in skipped)


def load(archive: bytes, name: str) -> int:
    """Give the image to the daemon, by docker's client or ours."""
    client = shutil.which("docker") or str(Path(sys.executable).parent / "wherry")
    command = [client, "import"]
    for change in CHANGES:
        command += ["-c", change]
    command += ["-m", "wherry-registry, built by make registry-image", "-", name]
    return subprocess.run(command, input=archive, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
