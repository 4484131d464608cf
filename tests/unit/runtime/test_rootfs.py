"""The order and the shadows of a container's mounts."""

from __future__ import annotations

from pathlib import Path

from namewall.runtime.rootfs import Bind, HostTree, Layer, Plan, _disks, make_layer, plan

HOST = HostTree(frozenset({"/run", "/tmp", "/root", "/home", "/boot"}))


def kinds(made: Plan) -> list[tuple[str, str]]:
    return [(mount["destination"], mount["type"]) for mount in made.mounts]


def test_the_root_is_first_and_masks_follow() -> None:
    made = plan(HOST, "/layers", [], [])
    assert kinds(made)[0] == ("/", "overlay")
    assert ("/boot", "tmpfs") in kinds(made)
    root, *_ = made.mounts
    assert root["options"] == ["ro", "nosuid", "nodev", "lowerdir=/layers/0:/"]
    by_path = {mount["destination"]: mount["options"] for mount in made.mounts}
    assert "ro" in by_path["/boot"]
    assert "ro" not in by_path["/tmp"]
    assert "/var/lib/docker" not in by_path, "the host has none"


def test_what_the_caller_hides_is_hidden_unless_a_mask_does_already() -> None:
    assert ("/srv/nw", "tmpfs") in kinds(plan(HOST, "/l", ["/srv/nw"], []))
    assert ("/tmp/nw", "tmpfs") not in kinds(plan(HOST, "/l", ["/tmp/nw"], []))


def test_a_bind_shows_through_a_mask_and_a_mask_below_it_hides_again() -> None:
    made = plan(HOST, "/l", ["/tmp/clone/state"], [Bind("/tmp/clone", "/tmp/clone")])
    assert [path for path, _ in kinds(made)][-4:] == ["/run", "/tmp", "/tmp/clone", "/tmp/clone/state"]


def test_separate_disks_have_an_overlay_each_but_not_below_a_mask() -> None:
    made = plan(HostTree(HOST.directories, (), ("/home", "/home/x", "/usr", "/usr/local")), "/l", [], [])
    overlays = [path for path, kind in kinds(made) if kind == "overlay"]
    assert overlays == ["/", "/usr", "/usr/local"]
    assert kinds(made).index(("/usr", "overlay")) < kinds(made).index(("/usr/local", "overlay"))
    assert [layer.directory for layer in made.layers] == ["/l/0", "/l/1", "/l/2"]


def test_mount_points_are_made_in_the_layer_of_their_own_overlay() -> None:
    binds = [
        Bind("/x", "/etc/app/config"),
        Bind("/y", "/usr/share/app", directory=False),
        Bind("/z", "/tmp/app"),
    ]
    made = plan(HostTree(HOST.directories, (), ("/usr",)), "/l", [], binds)
    root, usr = made.layers
    assert root.points["/etc/app/config"] is True
    assert usr.points == {"/usr/share/app": False}
    assert "/tmp/app" not in root.points, "runc makes it on the tmpfs"


def test_colons_in_paths_do_not_end_a_layer() -> None:
    made = plan(HostTree(frozenset(), (), ("/a:b",)), "/l", [], [])
    assert made.mounts[1]["options"][-1] == "lowerdir=/l/1:/a\\:b"


def test_layers_are_made_like_the_host_has_it(tmp_path: Path) -> None:
    host = tmp_path / "host"
    (host / "var" / "secret").mkdir(parents=True)
    (host / "var" / "secret").chmod(0o710)
    layer = Layer(
        str(host), str(tmp_path / "layer"), {f"{host}/var/secret/new": True, f"{host}/var/file": False}
    )
    make_layer(layer)
    make_layer(layer)
    made = tmp_path / "layer" / "var"
    assert (made / "secret").stat().st_mode & 0o777 == 0o710
    assert (made / "secret" / "new").is_dir()
    assert (made / "file").is_file()


def test_disks_are_found_in_mountinfo() -> None:
    lines = [
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
        "23 22 0:21 / /proc rw - proc proc rw",
        "24 22 254:1 / /srv/with\\040space rw shared:2 master:1 - xfs /dev/vdb rw",
        "25 22 0:30 / /run rw - tmpfs tmpfs rw",
        "26 22 0:31 /@usr /usr ro - btrfs /dev/vdc rw",
        "27 22 0:32 / /mnt/nas rw - nfs4 nas:/ rw",
    ]
    assert _disks("\n".join(lines)) == ["/srv/with space", "/usr"]
