"""The testbed `lvm`: what needs neither its machine nor Cinder. With both it is tested in `tests/hosting`."""

from __future__ import annotations

import pytest

from harness.real_targets.lvm.meaning import Meaning, kind_of, meaning_of

DD = "dd if=/dev/mapper/a--b-_snapshot--1 of=/dev/mapper/a--b-volume--2 count=1073741824 bs=1M iflag=count_bytes"


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        ("env LC_ALL=C lvcreate -T -V 1g -n volume-1 vg/vg-pool", Meaning("create_volume", target="1")),
        ("env LC_ALL=C lvcreate -n volume-1 vg -L 1g", Meaning("create_volume", target="1")),
        ("env LC_ALL=C lvcreate -T -L 42g vg/vg-pool", None),
        ("lvcreate --name _snapshot-2 --snapshot vg/volume-1 -L 1.00g", Meaning("snapshot", "1", "2")),
        ("lvcreate --name volume-3 --snapshot vg/_snapshot-2", Meaning("copy", "2", "3")),
        ("lvremove --config activation{} -f vg/_snapshot-2", Meaning("delete", "2")),
        ("lvextend -L 2g vg/volume-1", Meaning("extend_volume", "1")),
        ("lvconvert --merge vg/_snapshot-2", Meaning("revert", "2")),
        (DD, Meaning("copy", "1", "2")),
        ("dd count=0 if=/dev/mapper/a of=/dev/mapper/b oflag=direct", None),
        ("lvs --noheadings vg", None),
        ("cinder-rtstool save", None),
    ],
)
def test_commands_are_on_record_by_what_they_do(command: str, meaning: Meaning | None) -> None:
    """A command that makes, changes or removes a volume is an activity with its ids, any other none."""
    assert meaning_of(tuple(command.split())) == meaning


@pytest.mark.parametrize(
    ("name", "origin", "kind"),
    [
        ("volume-1", "", "volume"),
        ("volume-2", "volume-1", "volume"),
        ("_snapshot-3", "volume-1", "snapshot"),
        ("clone-snap-4", "volume-1", "snapshot"),
    ],
)
def test_what_cinder_named_a_volume_is_one(name: str, origin: str, kind: str) -> None:
    """A thin snapshot that Cinder has made as a volume counts as a volume, any other with an origin as a snapshot."""
    assert kind_of(name, origin) == kind
