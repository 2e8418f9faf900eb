"""Images: loaded from what docker, skopeo and podman write, listed, tagged, saved, imported, removed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from support import images
from support.commands import eventually, find, run
from support.daemons import Daemon


@pytest.fixture(autouse=True)
def _only_busybox(daemon: Daemon) -> object:
    """Each test gets busybox:latest alone, and leaves it alone."""
    yield
    daemon.clear_images()


def layers_of(busybox_layer: bytes) -> list[bytes]:
    """busybox, a layer with a file, and one that removes it and hides a folder's lower content."""
    second = images.Tar()
    second.folder("dir")
    second.add("dir/old", b"old")
    second.add("gone", b"soon")
    third = images.Tar()
    third.add(".wh.gone")
    third.folder("dir")
    third.add("dir/.wh..wh..opq")
    third.add("dir/new", b"new")
    return [busybox_layer, second.bytes(), third.bytes()]


def test_the_table(daemon: Daemon, busybox_layer: bytes) -> None:
    head, row = daemon.out("images").splitlines()
    assert head.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    short = images.image_id([busybox_layer])[7:19]
    assert re.match(rf"busybox +latest +{short} +.* ago +[\d.]+MB$", row)


def test_load_says_what_it_loaded(daemon: Daemon, busybox_tar: bytes) -> None:
    assert daemon.out("load", input=busybox_tar) == "Loaded image: busybox:latest"


def test_the_id_is_the_digest_of_the_configuration(daemon: Daemon, busybox_layer: bytes) -> None:
    """Content addressed: the id that every other engine gives the same image."""
    assert daemon.out("images", "-q", "--no-trunc", "busybox") == images.image_id([busybox_layer])


def test_load_without_a_tag_gives_the_id(daemon: Daemon, busybox_layer: bytes) -> None:
    layers = [busybox_layer, images.small_layer(untagged="1")]
    printed = daemon.out("load", input=images.docker_archive([], layers))
    assert printed == f"Loaded image ID: {images.image_id(layers)}"
    assert daemon.out("run", "--rm", "--network", "none", images.image_id(layers), "cat", "/untagged") == "1"


def test_a_gzipped_archive(daemon: Daemon, busybox_layer: bytes) -> None:
    layers = [busybox_layer, images.small_layer(zipped="1")]
    packed = gzip.compress(images.docker_archive(["zipped:1"], layers), mtime=0)
    assert daemon.out("load", input=packed) == "Loaded image: zipped:1"


def test_quiet_load_of_a_file(daemon: Daemon, busybox_tar: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(busybox_tar)
    assert daemon.out("load", "-q", "-i", str(tmp_path / "b.tar")) == "Loaded image: busybox:latest"


def test_layers_are_stacked_with_whiteouts(daemon: Daemon, busybox_layer: bytes) -> None:
    """A whiteout removes a lower file, an opaque folder hides the lower one's content."""
    daemon.docker("load", input=images.docker_archive(["stacked:1"], layers_of(busybox_layer)))
    printed = daemon.out("run", "--rm", "--network", "none", "stacked:1", "sh", "-c", "ls / | grep gone; ls /dir")
    assert printed == "new"


def test_config_of_the_image_is_used(daemon: Daemon, busybox_layer: bytes) -> None:
    """Entrypoint, Cmd, Env, WorkingDir, User, Labels and exposed ports come from the image."""
    config = {
        "Entrypoint": ["sh", "-c", 'echo "$0 $(pwd) $(id -u) $GREETING"'],
        "Cmd": ["default"],
        "Env": [images.PATH, "GREETING=hi"],
        "WorkingDir": "/tmp",
        "User": "nobody",
        "Labels": {"from": "image"},
        "ExposedPorts": {"80/tcp": {}},
    }
    daemon.docker("load", input=images.docker_archive(["configured:latest"], [busybox_layer], **config))
    assert daemon.out("run", "--rm", "--network", "none", "configured") == "default /tmp 65534 hi"
    assert daemon.out("run", "--rm", "--network", "none", "-u", "0", "configured", "mine") == "mine /tmp 0 hi"
    daemon.docker("create", "--name", "cc", "-l", "own=1", "configured")
    assert daemon.inspect("cc")["Config"]["Labels"] == {"from": "image", "own": "1"}
    assert daemon.inspect("cc")["Config"]["ExposedPorts"] == {"80/tcp": {}}


def test_no_command_at_all_is_refused(daemon: Daemon, busybox_layer: bytes) -> None:
    daemon.docker("load", input=images.docker_archive(["mute:latest"], [busybox_layer], Cmd=None))
    done = daemon.docker("run", "--rm", "mute", check=False)
    assert done.returncode == 125
    assert "no command specified" in done.stderr.lower()


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(daemon: Daemon, busybox_layer: bytes, tmp_path: Path, form: str) -> None:
    """skopeo's docker-archive and OCI-layout tar, layers compressed as it likes."""
    if find("skopeo") is None:
        pytest.skip("skopeo is not installed")
    if form == "oci-archive" and daemon.kind == "dockerd":
        pytest.skip("the reference, 20.10, cannot load an OCI layout")
    source = tmp_path / "in.tar"
    layers = [busybox_layer, images.small_layer(by="skopeo")]
    source.write_bytes(images.docker_archive(["by/skopeo:1"], layers))
    target = tmp_path / "out.tar"
    run("skopeo", "copy", "--insecure-policy", f"docker-archive:{source}", f"{form}:{target}:by/skopeo:1")
    daemon.docker("load", "-i", str(target))
    assert daemon.out("run", "--rm", "--network", "none", "by/skopeo:1", "cat", "/by") == "skopeo"


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_writes_is_loaded(daemon: Daemon, busybox_layer: bytes, tmp_path: Path, form: str) -> None:
    """``podman save`` in both of its archive forms."""
    if find("podman") is None:
        pytest.skip("podman is not installed")
    if form == "oci-archive" and daemon.kind == "dockerd":
        pytest.skip("the reference, 20.10, cannot load an OCI layout")
    podman = ("podman", "--root", f"{daemon.root}/p", "--runroot", f"{daemon.root}/r", "--storage-driver", "vfs")
    (tmp_path / "in.tar").write_bytes(images.docker_archive(["by/podman:1"], [busybox_layer]))
    run(*podman, "load", "-i", str(tmp_path / "in.tar"))
    run(*podman, "save", "--format", form, "-o", str(tmp_path / "out.tar"), "localhost/by/podman:1")
    daemon.docker("load", "-i", str(tmp_path / "out.tar"))
    assert daemon.out("run", "--rm", "--network", "none", "localhost/by/podman:1", "echo", "ok") == "ok"


def test_saved_and_loaded_again(daemon: Daemon, busybox_layer: bytes, tmp_path: Path) -> None:
    """save writes what load reads: the same id, the same tags, the same files."""
    layers = layers_of(busybox_layer)
    daemon.docker("load", input=images.docker_archive(["round:1", "round:2"], layers))
    daemon.docker("save", "-o", str(tmp_path / "round.tar"), "round:1", "round:2")
    daemon.docker("rmi", "round:1", "round:2")
    daemon.docker("load", "-i", str(tmp_path / "round.tar"))
    assert daemon.out("images", "-q", "--no-trunc", "round").splitlines() == [images.image_id(layers)] * 2
    assert daemon.out("run", "--rm", "--network", "none", "round:1", "ls", "/dir") == "new"


def test_a_saved_archive_is_dockers(daemon: Daemon, busybox_layer: bytes) -> None:
    """manifest.json names the configuration and the layers, whose digests are the image's diff ids."""
    saved = subprocess.run(
        daemon.docker_argv("save", "busybox"), env=daemon.docker_env(), capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = tar.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        layer = tar.extractfile(manifest["Layers"][0]).read()  # type: ignore[union-attr]
    assert manifest["RepoTags"] == ["busybox:latest"]
    assert "sha256:" + hashlib.sha256(config).hexdigest() == images.image_id([busybox_layer])
    if layer[:2] == b"\x1f\x8b":
        layer = gzip.decompress(layer)
    assert hashlib.sha256(layer).hexdigest() == hashlib.sha256(busybox_layer).hexdigest()


def test_skopeo_reads_what_we_save(daemon: Daemon, tmp_path: Path) -> None:
    if find("skopeo") is None:
        pytest.skip("skopeo is not installed")
    daemon.docker("save", "-o", str(tmp_path / "b.tar"), "busybox")
    run("skopeo", "copy", "--insecure-policy", f"docker-archive:{tmp_path}/b.tar", f"dir:{tmp_path}/dir")
    assert (tmp_path / "dir" / "manifest.json").exists()


def test_the_reference_reads_what_we_save(
    daemon: Daemon, reference: Daemon, tmp_path: Path, busybox_layer: bytes
) -> None:
    """Real dockerd loads our archive and gives the image the same id."""
    layers = layers_of(busybox_layer)
    daemon.docker("load", input=images.docker_archive(["crossed:1"], layers))
    daemon.docker("save", "-o", str(tmp_path / "x.tar"), "crossed:1")
    assert reference.out("load", "-i", str(tmp_path / "x.tar")) == "Loaded image: crossed:1"
    assert reference.out("images", "-q", "--no-trunc", "crossed") == images.image_id(layers)
    assert reference.out("run", "--rm", "--network", "none", "crossed:1", "ls", "/dir") == "new"


def test_we_read_what_the_reference_saves(
    daemon: Daemon, reference: Daemon, tmp_path: Path, busybox_layer: bytes
) -> None:
    layers = [busybox_layer, images.small_layer(reference="1")]
    reference.docker("load", input=images.docker_archive(["back:1"], layers))
    reference.docker("save", "-o", str(tmp_path / "x.tar"), "back:1")
    assert daemon.out("load", "-i", str(tmp_path / "x.tar")) == "Loaded image: back:1"
    assert daemon.out("run", "--rm", "--network", "none", "back:1", "cat", "/reference") == "1"


def test_import_of_a_plain_root(daemon: Daemon, busybox_layer: bytes) -> None:
    """import makes an image of one layer from a root file system; --change and -m are kept."""
    printed = daemon.out(
        "import",
        "-c",
        'CMD ["echo", "imported"]',
        "-c",
        "ENV A=b",
        "-m",
        "by hand",
        "-",
        "plain:1",
        input=busybox_layer,
    )
    assert re.fullmatch("sha256:[0-9a-f]{64}", printed)
    assert daemon.out("run", "--rm", "--network", "none", "plain:1") == "imported"
    assert "A=b" in daemon.api("GET", "/images/plain:1/json").json()["Config"]["Env"]
    assert "by hand" in daemon.out("history", "--format", "{{.Comment}}", "plain:1")


def test_tag_and_untag(daemon: Daemon) -> None:
    """A tag is another name; removing it leaves the image to the others."""
    daemon.docker("tag", "busybox", "registry.test:5000/team/box:1.0")
    assert daemon.out("images", "-q", "registry.test:5000/team/box") == daemon.out("images", "-q", "busybox")
    assert daemon.out("rmi", "registry.test:5000/team/box:1.0") == "Untagged: registry.test:5000/team/box:1.0"
    assert daemon.out("images", "-q", "busybox") != ""


def test_rmi_of_the_last_tag_deletes(daemon: Daemon, busybox_layer: bytes) -> None:
    layers = [busybox_layer, images.small_layer(last="1")]
    daemon.docker("load", input=images.docker_archive(["last:1"], layers))
    lines = daemon.out("rmi", "last:1").splitlines()
    assert lines[0] == "Untagged: last:1"
    assert f"Deleted: {images.image_id(layers)}" in lines
    assert daemon.docker("image", "inspect", "last:1", check=False).returncode == 1


def test_rmi_frees_the_disk(daemon: Daemon, busybox_layer: bytes) -> None:
    """The layers that no other image uses are gone from the data root."""

    def used() -> int:
        return int(run("du", "-sk", daemon.data_root).stdout.split()[0])

    before = used()
    big = images.Tar()
    big.add("big", bytes(range(256)) * 4 * 4096)
    daemon.docker("load", input=images.docker_archive(["big:1"], [busybox_layer, big.bytes()]))
    assert used() > before + 4000
    daemon.docker("rmi", "big:1")
    eventually("the disk is free again", lambda: used() < before + 1000)


def test_rmi_of_a_used_image_is_refused(daemon: Daemon, busybox_layer: bytes) -> None:
    layers = [busybox_layer, images.small_layer(used="1")]
    daemon.docker("load", input=images.docker_archive(["used:1"], layers))
    name = daemon.out("create", "used:1")
    done = daemon.docker("rmi", "used:1", check=False)
    assert done.returncode == 1
    assert re.search(rf"conflict: unable to remove repository reference.*container {name[:12]} is using", done.stderr)
    daemon.docker("rmi", "-f", "used:1")
    assert daemon.docker("start", name, check=False).returncode == 0
    daemon.docker("rm", "-f", name)


def test_rmi_of_an_unknown_image(daemon: Daemon) -> None:
    done = daemon.docker("rmi", "nothing:1", check=False)
    assert done.returncode == 1
    assert "No such image: nothing:1" in done.stderr


def test_inspect(daemon: Daemon, busybox_layer: bytes) -> None:
    (seen,) = json.loads(daemon.out("image", "inspect", "busybox"))
    assert seen["Id"] == images.image_id([busybox_layer])
    assert seen["RepoTags"] == ["busybox:latest"]
    assert seen["Os"] == "linux"
    assert seen["Config"]["Cmd"] == ["sh"]
    assert seen["RootFS"] == {"Type": "layers", "Layers": ["sha256:" + hashlib.sha256(busybox_layer).hexdigest()]}
    assert seen["Size"] > 1_000_000


def test_by_id_prefix(daemon: Daemon, busybox_layer: bytes) -> None:
    short = images.image_id([busybox_layer])[7:19]
    for key in (short, f"sha256:{short}", images.image_id([busybox_layer])):
        assert daemon.out("image", "inspect", "-f", "{{.Id}}", key) == images.image_id([busybox_layer])


def test_history(daemon: Daemon, busybox_layer: bytes) -> None:
    daemon.docker("load", input=images.docker_archive(["three:1"], layers_of(busybox_layer)))
    assert daemon.out("history", "--format", "{{.CreatedBy}}", "three:1").split("\n") == [
        "layer 2",
        "layer 1",
        "layer 0",
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["reference=busy*"], ["busybox:latest"]),
        (["reference=team/*:1*"], ["team/box:1.0"]),
        (["label=kind=box"], ["team/box:1.0"]),
        (["dangling=true"], []),
        (["before=busybox"], []),
    ],
)
def test_list_filters(daemon: Daemon, busybox_layer: bytes, filters: list[str], expected: list[str]) -> None:
    daemon.docker("load", input=images.docker_archive(["team/box:1.0"], [busybox_layer], Labels={"kind": "box"}))
    args = [word for one in filters for word in ("--filter", one)]
    assert daemon.out("images", "--format", "{{.Repository}}:{{.Tag}}", *args).split() == expected


def test_a_moved_tag_leaves_the_old_image_dangling(daemon: Daemon, busybox_layer: bytes) -> None:
    """Loading another image under the same tag says so, and prune takes the old one away."""
    old, new = [busybox_layer, images.small_layer(v="1")], [busybox_layer, images.small_layer(v="2")]
    daemon.docker("load", input=images.docker_archive(["moving:1"], old))
    daemon.docker("load", input=images.docker_archive(["moving:1"], new))
    assert daemon.out("images", "-q", "--no-trunc", "moving:1") == images.image_id(new)
    assert daemon.out("images", "-q", "--no-trunc", "--filter", "dangling=true") == images.image_id(old)
    printed = daemon.out("image", "prune", "-f")
    assert images.image_id(old) in printed
    assert "Total reclaimed space:" in printed


def test_shared_layers_are_kept_once(daemon: Daemon, busybox_layer: bytes) -> None:
    """Ten images on one base do not take ten times the space."""
    before = int(run("du", "-sk", daemon.data_root).stdout.split()[0])
    for number in range(10):
        layers = [busybox_layer, images.small_layer(number=str(number))]
        daemon.docker("load", input=images.docker_archive([f"many:{number}"], layers))
    after = int(run("du", "-sk", daemon.data_root).stdout.split()[0])
    assert after - before < 2000


@pytest.fixture(scope="session")
def debian_tar() -> Path:
    """A Debian root made by debootstrap, kept in the user's cache between runs."""
    cache = Path.home() / ".cache" / "wherry-tests"
    target = cache / "debian.tar"
    if not target.exists():
        if find("debootstrap") is None:
            pytest.skip("debootstrap is not installed")
        cache.mkdir(parents=True, exist_ok=True)
        root = cache / "debian.partial"
        sites = run(
            "apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", check=False
        ).stdout.split()
        run("rm", "-rf", str(root))
        release = dict(
            line.split("=", 1)
            for line in Path("/etc/os-release").read_text().replace('"', "").splitlines()
            if "=" in line
        )
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", release["VERSION_CODENAME"], str(root), *sites[:1]],
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.skip(f"debootstrap could not make a root: {done.stdout[-200:]}{done.stderr[-200:]}")
        run("tar", "-C", str(root), "--numeric-owner", "-cf", f"{target}.partial", ".", timeout=120)
        Path(f"{target}.partial").rename(target)
        run("rm", "-rf", str(root))
    return target


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_debootstrap_debian(daemon: Daemon, debian_tar: Path) -> None:
    """A real distribution, imported, saved, loaded and run: its own tools work inside."""
    daemon.docker("import", str(debian_tar), "debian:here", timeout=120)
    saved = Path(daemon.root, "debian-image.tar")
    daemon.docker("save", "-o", str(saved), "debian:here", timeout=120)
    daemon.docker("rmi", "debian:here")
    assert daemon.out("load", "-i", str(saved), timeout=120) == "Loaded image: debian:here"
    saved.unlink()
    script = """
        set -e; . /etc/os-release; echo $ID; dpkg --audit; echo $BASH_VERSION | cut -c1; id -un
        ls -l /usr/bin/passwd | cut -c1-10
    """
    printed = daemon.out("run", "--rm", "--network", "none", "debian:here", "bash", "-c", script)
    assert printed.splitlines() == ["debian", "5", "root", "-rwsr-xr-x"]
