"""What a command of the LVM driver does to volumes and snapshots, for the record of activities; it decides nothing."""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """One of the verbs of `harness.testbed.Job`, and the ids of what it reads and makes."""

    verb: str
    source: str = ""
    target: str = ""


def object_id(name: str) -> str:
    """The id of what a logical volume holds: Cinder's, where Cinder named it."""
    for prefix in ("volume-", "_snapshot-"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def kind_of(name: str, origin: str) -> str:
    """ "volume" or "snapshot": a volume of Cinder's is one, wherever its blocks come from."""
    return "snapshot" if origin and not name.startswith("volume-") else "volume"


def name_in(path: str) -> str:
    """The logical volume's name in `group/name`, `/dev/group/name` or `/dev/mapper/group-name`."""
    if path.startswith("/dev/mapper/"):
        return path[12:].replace("--", "\0").partition("-")[2].replace("\0", "-")
    return path.rpartition("/")[2]


def meaning_of(command: tuple[str, ...]) -> Meaning | None:
    """What a command does; None for one that changes no volume's content, or is not known."""
    words = list(command)
    while words and (words[0] in ("env", "nice", "ionice") or "=" in words[0] or words[0].startswith("-")):
        del words[0]
    options = dict(itertools.pairwise(words))
    named = options.get("-n") or options.get("--name") or ""
    last = object_id(name_in(words[-1])) if words else ""
    match words[:1]:
        case ["lvcreate"] if "--snapshot" in words:
            source = object_id(name_in(options["--snapshot"]))
            return Meaning("copy" if named.startswith("volume-") else "snapshot", source, object_id(named))
        case ["lvcreate"] if named:
            return Meaning("create_volume", target=object_id(named))
        case ["lvremove"]:
            return Meaning("delete", source=last)
        case ["lvextend"]:
            return Meaning("extend_volume", source=last)
        case ["lvconvert"] if "--merge" in words:
            return Meaning("revert", source=last)
        case ["dd"]:
            given = dict(word.split("=", 1) for word in words[1:] if "=" in word)
            if given.get("count") != "0" and given.get("of", "").startswith("/dev/"):
                source, target = given.get("if", ""), given["of"]
                return Meaning("copy", object_id(name_in(source)), object_id(name_in(target)))
    return None
