"""A first draft of a publication for a class that publishes nothing, from what can be seen without running it.

What can be seen is what hooks there are; without one, its claim can't be made (A-7). Whether a method may run on a
volume in use can't be seen, so no method is listed: the draft says which ones the class brings, and what in their
source bears on the question.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from dataclasses import dataclass
from typing import Any

from harness.cinder.native import definer, is_native
from harness.contract import ACTIVITY_HOOKS, ATTRIBUTE, METHODS, implements
from harness.driver_walk import DraftedPublication
from harness.static_lookup import static_attribute

_STATE = frozenset({"status", "attach_status", "volume_attachment", "migration_status", "previous_status"})
"""Fields of a volume by which a method may refuse one that is in use, or treat it otherwise."""


@dataclass(frozen=True)
class Draft:
    """A draft. `attributes` are claims that can be seen, `seen` says of each why; `open_questions` are for a person."""

    reference: str
    publishes: bool
    attributes: dict[str, Any]
    seen: tuple[str, ...]
    open_questions: tuple[str, ...]

    def to_model(self) -> DraftedPublication:
        """The draft as data."""
        return DraftedPublication(
            publishes_itself=self.publishes,
            backend_activity_attributes=self.attributes,
            seen=self.seen,
            open_questions=self.open_questions,
        )

    def to_toml(self) -> str:
        """The draft as a publication file."""
        lines = [f"# A draft for {self.reference}, from what can be seen in its code. A person has to finish it."]
        lines += ["#", "# Seen:", *(f"#   {text}" for text in self.seen)]
        lines += ["#", "# Not seen, so not claimed:", *(f"#   {text}" for text in self.open_questions), ""]
        lines += ["[publication]", f"name = {json.dumps(self.reference.rpartition('.')[2])}"]
        lines += [f"product = {json.dumps(self.reference)}", "", f"[{ATTRIBUTE}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in self.attributes.items()]
        return "\n".join(lines) + "\n"


def draft_of(cls: type) -> Draft:
    """Draft a publication for a class; nothing of the class is run."""
    attributes: dict[str, Any] = {"stateless_activities": []}
    seen: list[str] = []
    questions: list[str] = []
    if implements(cls, "replicate_snapshot"):
        questions.append("snapshot_replication: there is a hook replicate_snapshot; does it work, and between what?")
    else:
        attributes["snapshot_replication"] = False
        seen.append("snapshot_replication = false: there is no hook replicate_snapshot")
    if implements(cls, "backup_volume"):
        questions.append("backup_compression_techniques: there is a hook backup_volume; what does it compress with?")
    else:
        attributes["backup_compression_techniques"] = []
        seen.append("backup_compression_techniques = []: there is no hook backup_volume")
    if all(implements(cls, hook) for hook in ACTIVITY_HOOKS):
        questions.append("handle_scope: the activity hooks are there; where can a handle be used again?")
    else:
        attributes["handle_scope"] = "connection-specific"
        seen.append("handle_scope = connection-specific: the activity hooks are not there, so there are no handles")
    for name, spec in METHODS.items():
        if not spec.is_hook and spec.allowed_on_attached and is_native(cls, name):
            questions.append(f"stateless_activities: {_about(cls, name)}")
    publishes = static_attribute(cls, ATTRIBUTE) is not None
    return Draft(f"{cls.__module__}.{cls.__qualname__}", publishes, attributes, tuple(seen), tuple(questions))


def _about(cls: type, name: str) -> str:
    where = definer(cls, name) or cls
    place = "" if where is cls else f", inherited from {where.__module__}.{where.__qualname__}"
    looks = _fields_looked_at(where, name)
    what = f"looks at {', '.join(looks)}" if looks else "looks at no status in its own body"
    return f"{name}{place} {what}; may it run while hosts write?"


def _fields_looked_at(where: type, name: str) -> list[str]:
    raw = type.__dict__["__dict__"].__get__(where)[name]
    function = inspect.unwrap(raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=field) | ast.Subscript(slice=ast.Constant(value=str(field))) if field in _STATE:
                found.add(field)
    return sorted(found)
