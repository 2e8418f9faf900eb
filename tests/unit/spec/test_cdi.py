"""Container Device Interface: specifications read and refused, devices found, edits made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wherry.lib.errors import Internal, InvalidArgument
from wherry.runtime.cdi import CdiError, is_qualified, load, read_registry
from wherry.runtime.cdi_edits import EditError, apply_edits
from wherry.runtime.device_requests import resolve_requests
from wherry.wire.container import DeviceRequest

ENV = {"env": ["A=1"]}


def document(kind: str = "vendor.com/thing", version: str = "1.0.0", **devices: Any) -> dict[str, Any]:
    listed = [{"name": name, "containerEdits": edits} for name, edits in (devices or {"a": ENV}).items()]
    return {"cdiVersion": version, "kind": kind, "devices": listed}


def write(directory: Path, name: str, content: dict[str, Any]) -> str:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(json.dumps(content))
    return str(path)


def empty_spec(**more: Any) -> dict[str, Any]:
    return {
        "process": {"env": ["PATH=/bin", "A=0"]},
        "root": {"readonly": False},
        "mounts": [{"destination": "/proc"}, {"destination": "/dev/shm"}],
        "linux": {"resources": {}},
        **more,
    }


def edited(tmp_path: Path, edits: dict[str, Any], spec: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    write(tmp_path, "v.json", document(a=edits))
    made = spec or empty_spec()
    made["groups"] = apply_edits(made, read_registry([str(tmp_path)]).edits(["vendor.com/thing=a"]), **options)
    return made


def test_edits_of_a_device_and_of_its_specification(tmp_path: Path) -> None:
    """The common part comes once, whatever the number of devices."""
    both = document(a={"env": ["A=1"]}, b={"env": ["B=1"]}) | {"containerEdits": {"env": ["COMMON=1"]}}
    write(tmp_path, "v.json", both)
    edits = read_registry([str(tmp_path)]).edits(["vendor.com/thing=b", "vendor.com/thing=a"])
    assert [part.env for part in edits] == [["COMMON=1"], ["B=1"], ["A=1"]]
    spec = empty_spec()
    apply_edits(spec, edits)
    assert spec["process"]["env"] == ["PATH=/bin", "COMMON=1", "B=1", "A=1"]


def test_device_nodes(tmp_path: Path) -> None:
    """Numbers from the host where none are given; allowed in the cgroup with the permissions that are."""
    nodes = [
        {"path": "/dev/mine", "hostPath": "/dev/null"},
        {"path": "/dev/other", "type": "c", "major": 10, "minor": 3, "fileMode": 0o640, "permissions": "r", "gid": 5},
        {"path": "/dev/fifo", "type": "p"},
    ]
    linux = edited(tmp_path, {"deviceNodes": nodes})["linux"]
    assert linux["devices"] == [
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/other", "type": "c", "major": 10, "minor": 3, "fileMode": 0o640, "gid": 5},
        {"path": "/dev/fifo", "type": "p", "major": 0, "minor": 0},
    ]
    assert linux["resources"]["devices"] == [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 3, "access": "r"},
    ]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"path": "/dev/none-such"}, 'failed to stat CDI host device "/dev/none-such": no such file or directory'),
        ({"path": "/dev/null", "type": "b"}, 'CDI device ("/dev/null", "/dev/null"), host type mismatch (b, c)'),
        ({"path": "/etc"}, 'failed to stat CDI host device "/etc": not a device node'),
    ],
)
def test_a_device_that_is_not_so(tmp_path: Path, node: dict[str, Any], message: str) -> None:
    with pytest.raises(EditError) as refusal:
        edited(tmp_path, {"deviceNodes": [node]})
    assert str(refusal.value) == message


def test_mounts(tmp_path: Path) -> None:
    """By depth among the others; the user's own at the same place stays; read-only with a read-only root."""
    wanted = [
        {"hostPath": "/h/lib", "containerPath": "/usr/lib/v", "options": ["ro", "rbind"]},
        {"hostPath": "tmpfs", "containerPath": "/v", "type": "tmpfs", "options": ["size=1m"]},
        {"hostPath": "/h/mine", "containerPath": "/mine"},
    ]
    spec = empty_spec(root={"readonly": True})
    found = edited(tmp_path, {"mounts": wanted}, spec, keep={"/mine"})["mounts"]
    assert [mount["destination"] for mount in found] == ["/proc", "/v", "/dev/shm", "/usr/lib/v"]
    assert found[1] == {"destination": "/v", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "ro"]}
    assert found[3]["options"] == ["ro", "rbind"]


def test_hooks_groups_and_cache(tmp_path: Path) -> None:
    hook = {"hookName": "createContainer", "path": "/bin/h", "args": ["h"], "timeout": 5}
    rdt = {"closID": "c", "enableCMT": True}
    found = edited(tmp_path, {"hooks": [hook], "additionalGids": [0, 7, 7], "intelRdt": rdt})
    assert found["hooks"] == {"createContainer": [{"path": "/bin/h", "args": ["h"], "timeout": 5}]}
    assert found["groups"] == [7]
    assert found["linux"]["intelRdt"] == {"closID": "c", "enableCMT": True}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (document(version="0.0.9"), 'invalid CDI Spec: invalid version "0.0.9"'),
        (document(kind="vendor.com"), "invalid CDI Spec: invalid class. empty name"),
        (document(kind="1x/thing"), 'invalid CDI Spec: invalid vendor. "1x"'),
        (document(**{"-": ENV}), 'failed add device "-": invalid device name'),
        (document(a={}), 'failed add device "a": invalid device, empty device edits'),
        (document(a={"env": ["=1"]}), 'invalid environment variable "=1"'),
        (document(a={"hooks": [{"hookName": "never", "path": "/x"}]}), 'invalid hook name "never"'),
        (document(a={"deviceNodes": [{"path": "/d", "permissions": "x"}]}), 'device "/d": invalid permissions "x"'),
        (document(a={"mounts": [{"hostPath": "", "containerPath": "/x"}]}), "invalid mount, empty host path"),
        (document(a=ENV | {"colour": "blue"}), "failed to unmarshal CDI Spec: .*unknown field `colour`"),
        (document(a={"intelRdt": {"closID": "../x"}}), "invalid ClosID"),
        (document(version="0.3.0", a={"additionalGids": [4]}), "the spec version must be at least v0.7.0"),
        (document(version="0.5.0", kind="v.com/a.b"), "the spec version must be at least v0.6.0"),
        (document(version="0.4.0", **{"0": ENV}), "the spec version must be at least v0.5.0"),
        ({"cdiVersion": "1.0.0", "kind": "v.com/c", "devices": []}, "invalid spec, no devices"),
    ],
)
def test_a_broken_specification(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    """It is named, and the others are read all the same."""
    path = write(tmp_path, "bad.json", content)
    write(tmp_path, "good.json", document(kind="v.com/good"))
    with pytest.raises(CdiError, match=message):
        load(path)
    registry = read_registry([str(tmp_path)])
    assert registry.names() == ["v.com/good=a"]
    assert list(registry.errors) == [path]


def test_the_more_important_directory_decides(tmp_path: Path) -> None:
    """Two in one directory are a conflict, and nobody has the device."""
    low, high = tmp_path / "low", tmp_path / "high"
    write(low, "v.json", document(a={"env": ["FROM=low"]}))
    write(high, "v.json", document(a={"env": ["FROM=high"]}))
    directories = [str(low), str(high), str(tmp_path / "none")]
    assert read_registry(directories).edits(["vendor.com/thing=a"])[1].env == ["FROM=high"]
    other = write(high, "w.json", document())
    registry = read_registry(directories)
    assert registry.names() == []
    assert 'conflicting device "vendor.com/thing=a"' in registry.errors[other][0]
    with pytest.raises(CdiError, match=r"unresolvable CDI devices vendor\.com/thing=a, x"):
        registry.edits(["vendor.com/thing=a", "x.y/z=0"])


def test_yaml(tmp_path: Path) -> None:
    tmp_path.joinpath("v.yaml").write_text(
        "---\ncdiVersion: 0.5.0\nkind: v.com/thing\ndevices:\n- name: '0'\n  containerEdits:\n    env: [A=1]\n"
    )
    assert read_registry([str(tmp_path)]).names() == ["v.com/thing=0"]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (DeviceRequest(count=-1, capabilities=[["gpu"]]), ["all"]),
        (DeviceRequest(count=2, capabilities=[["gpu"]]), ["0", "1"]),
        (DeviceRequest(driver="nvidia", device_ids=["1"], capabilities=[["gpu", "utility"]]), ["1"]),
        (DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=0"]), ["0"]),
        (DeviceRequest(capabilities=[["gpu"]]), []),
    ],
)
def test_requests_for_gpus(tmp_path: Path, request_: DeviceRequest, names: list[str]) -> None:
    """Any driver's GPUs are CDI devices, where a specification describes some."""
    gpus = {name: {"env": [f"GPU={name}"]} for name in ("all", "0", "1")}
    write(tmp_path, "gpu.json", document(kind="nvidia.com/gpu", **gpus))
    edits = resolve_requests([request_], [str(tmp_path)])
    assert [text for part in edits for text in part.env] == [f"GPU={name}" for name in names]


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        (
            DeviceRequest(count=-1, capabilities=[["gpu"]]),
            InvalidArgument,
            'could not select device driver "" with capabilities: [[gpu]]',
        ),
        (
            DeviceRequest(driver="x", capabilities=[["a", "b"], ["c"]]),
            InvalidArgument,
            'could not select device driver "x" with capabilities: [[a b] [c]]',
        ),
        (
            DeviceRequest(driver="cdi", device_ids=["x.y/z=1"]),
            Internal,
            "CDI device injection failed: unresolvable CDI devices x.y/z=1",
        ),
        (DeviceRequest(driver="cdi", count=1), InvalidArgument, "unexpected count in CDI device request"),
    ],
)
def test_requests_that_nobody_answers(
    tmp_path: Path, request_: DeviceRequest, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as refusal:
        resolve_requests([request_], [str(tmp_path)])
    assert str(refusal.value) == message


def test_without_directories_there_is_no_cdi() -> None:
    with pytest.raises(InvalidArgument, match='could not select device driver "cdi" with capabilities'):
        resolve_requests([DeviceRequest(driver="cdi", device_ids=["a.b/c=d"])], [])


@pytest.mark.parametrize("name", ["vendor.com/class=dev", "v.c/c_d=0", "a/b=c:d.e"])
def test_qualified(name: str) -> None:
    assert is_qualified(name)


@pytest.mark.parametrize("name", ["", "/dev/null", "a/b", "a=b", "0a/b=c", "a/b=", "a/b=-"])
def test_not_qualified(name: str) -> None:
    assert not is_qualified(name)
