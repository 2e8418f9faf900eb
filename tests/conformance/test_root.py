"""config.md: the version, the root file system, unknown properties and values that are not valid."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.bundle import args, linux, process, shell, top
from conformance.clauses import DEFINED, MAY, MUST, MUST_NOT, case, cases, clause
from conformance.yard import Scope


@pytest.mark.parametrize(
    "version",
    cases(
        "config.md#specification-version",
        DEFINED,
        *(
            (version, f"a configuration of the same major version is taken: {version}", version)
            for version in ("1.0.0", "1.1.0", "1.2.0")
        ),
    ),
)
def test_version_is_taken(box: Scope, version: str) -> None:
    assert box(top(ociVersion=version)).run().code == 0


@pytest.mark.parametrize("version", ["one", "", 1])
@clause("config.md#specification-version", MUST, "ociVersion is a SemVer string; anything else is an error")
def test_version_is_semver(box: Scope, version: object) -> None:
    assert box(top(ociVersion=version)).run().failed


@clause("config.md#root", DEFINED, "a relative path is relative to the bundle")
def test_root_relative(box: Scope) -> None:
    one = box(shell("cat /mark"), top(root={"path": "another/place"}))
    one.bundle.rootfs.rename(one.bundle.directory / "moved")
    (one.bundle.directory / "another").mkdir()
    (one.bundle.directory / "moved").rename(one.bundle.directory / "another" / "place")
    (one.bundle.directory / "another" / "place" / "mark").write_text("here\n")
    assert one.run().out == "here\n"


@clause("config.md#root", DEFINED, "an absolute path is taken as it is")
def test_root_absolute(box: Scope) -> None:
    other, one = box(), box(shell("cat /mark"))
    one.bundle.spec["root"] = {"path": str(other.bundle.rootfs)}
    one.bundle.write()
    (other.bundle.rootfs / "mark").write_text("there\n")
    assert one.run().out == "there\n"


@pytest.mark.parametrize("path", ["missing", "config.json"])
@clause("config.md#root", MUST, "a path without a directory is an error")
def test_root_is_a_directory(box: Scope, path: str) -> None:
    one = box(top(root={"path": path}))
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause("config.md#root", MUST, "root is required")
def test_root_is_required(box: Scope) -> None:
    assert box(lambda spec: spec.pop("root")).create().failed


@pytest.mark.parametrize(
    ("root", "writable"),
    [
        case({"readonly": True}, False, id="true", where="config.md#root", level=MUST, says="readonly: no writes"),
        case({"readonly": False}, True, id="false", where="config.md#root", level=DEFINED, says="not readonly: writes"),
        case({}, True, id="default", where="config.md#root", level=DEFINED, says="readonly is false by default"),
    ],
)
def test_root_readonly(box: Scope, root: dict[str, bool], *, writable: bool) -> None:
    one = box(shell("touch /file && echo yes || echo no"), top(root={"path": "rootfs", **root}))
    assert one.run().out == ("yes\n" if writable else "no\n")
    assert (one.bundle.rootfs / "file").exists() == writable


@pytest.mark.parametrize(
    "change",
    [
        case(
            top(**{"org.example": {"a": [1]}}),
            id="top",
            where="config.md#extensibility",
            level=MUST,
            says="an unknown property at the top is ignored",
        ),
        case(
            process(unknown={"a": 1}),
            id="process",
            where="config.md#extensibility",
            level=MUST,
            says="an unknown property of process is ignored",
        ),
        case(
            linux(unknown=[1, 2]),
            id="linux",
            where="config.md#extensibility",
            level=MUST,
            says="an unknown property of linux is ignored",
        ),
        case(
            top(annotations={"org.opencontainers.unknown": "", "x": "y"}),
            id="annotations",
            where="config.md#annotations",
            level=MUST,
            says="an unknown key is ignored, as any unknown property",
        ),
        case(
            top(windows={"layerFolders": ["C:\\"]}, solaris={"milestone": "x"}),
            id="platform",
            where="config.md#extensibility",
            level=MUST_NOT,
            says="another platform's section is no error",
        ),
    ],
)
def test_unknown_is_ignored(box: Scope, change: Any) -> None:
    done = box(args("/bin/echo", "fine"), change).run()
    assert (done.code, done.out) == (0, "fine\n")


@clause("config.md#annotations", MAY, "a value can be an empty string")
def test_empty_annotation(box: Scope) -> None:
    assert box(top(annotations={"org.example.empty": ""})).made().state()["annotations"]["org.example.empty"] == ""


@clause("config.md#annotations", MUST, "a value that is not a string is an error")
def test_annotation_is_a_string(box: Scope) -> None:
    assert box(top(annotations={"org.example.number": 1})).create().failed


INVALID: dict[str, Any] = {
    "namespace type": linux(namespaces=[{"type": "mount"}, {"type": "elsewhere"}]),
    "rlimit type": process(rlimits=[{"type": "RLIMIT_NONE", "soft": 1, "hard": 1}]),
    "propagation": linux(rootfsPropagation="sideways"),
    "seccomp action": linux(seccomp={"defaultAction": "SCMP_ACT_MAYBE"}),
    "device type": linux(devices=[{"type": "x", "path": "/dev/x", "major": 1, "minor": 3}]),
    "type of a member": process(args="not a list"),
    "personality": linux(personality={"domain": "SOLARIS"}),
}


@pytest.mark.parametrize(
    "name",
    cases("config.md#valid-values", MUST, *((name, f"an invalid value is an error: {name}", name) for name in INVALID)),
)
def test_invalid_values(box: Scope, name: str) -> None:
    one = box(INVALID[name])
    assert one.create().failed
    assert one.id not in one.runtime.known()


@clause("glossary.md#json", MUST, "the configuration is UTF-8")
def test_json_is_utf8(box: Scope) -> None:
    one = box(args("/bin/echo", "wérry ⛵"))
    text = json.dumps(one.bundle.spec, ensure_ascii=False)
    (one.bundle.directory / "config.json").write_text(text, encoding="utf-8")
    assert one.run().out == "wérry ⛵\n"


@clause("glossary.md#json", DEFINED, "the order of an object's entries means nothing")
def test_json_order(box: Scope) -> None:
    one = box(args("/bin/echo", "fine"))
    one.bundle.spec = dict(reversed(one.bundle.spec.items()))
    one.bundle.write()
    assert one.run().out == "fine\n"


@clause("glossary.md#json", MUST, "what is not JSON is an error")
def test_json_is_json(box: Scope) -> None:
    one = box()
    (one.bundle.directory / "config.json").write_text('{"ociVersion": "1.0.2",')
    assert one.create().failed
    assert one.id not in one.runtime.known()
