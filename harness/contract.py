"""What a driver is to the harness: the methods and hooks of specification section 6, and how calls are checked.

Nothing here has to be inherited. A driver is any class whose methods bind to the calls below; `bind_call` decides
that with the real arguments. Look-ups are static (`static_attribute`): a driver's `__getattr__` is never asked.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from harness.activity import ActivityStatus
from harness.model import Backup, Context, Snapshot, Volume
from harness.static_lookup import plain_function, plain_methods, static_attribute, takes

ATTRIBUTE = "backend_activity_attributes"
"""The name under which a driver publishes (specification section 1)."""


class BackendActivityError(Exception):
    """Base of the exceptions that the contract names."""


class ActivityUnknown(BackendActivityError):
    """The handle is unknown to the backend, or refused: the two look alike (clause H-2)."""


class ActivityNotAbortable(BackendActivityError):
    """The activity can't be aborted and goes on undisturbed (clause H-1)."""


class ConnectionLost(BackendActivityError):
    """The connection is gone; whether the call had its effect is unknown (clause H-9)."""


class NotSupported(BackendActivityError):
    """The driver can't do this; raised before any effect (clause R-1)."""


class VolumeIsBusy(BackendActivityError):
    """The backend refuses to delete the object because another depends on it (Cinder's name for it)."""


class ActivityFailed(BackendActivityError):
    """A backend activity ended as failed or aborted; `code` is the backend's stable error code, if it gave one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class ContractViolation(Exception):
    """A call does not bind to the driver's signature; the message shows both."""


class Effect(enum.Enum):
    """What a method makes of volumes; decides which image clause judges it (specification section 6)."""

    COPIES = "copies"
    MOVES = "moves"
    REWRITES = "rewrites"
    RESIZES = "resizes"
    REMOVES = "removes"
    CREATES = "creates"


@dataclass(frozen=True)
class MethodSpec:
    """One method of section 6: its name, the parameters it is called with, its effect, and whether it is a hook."""

    name: str
    parameters: tuple[str, ...]
    effect: Effect
    allowed_on_attached: bool
    is_hook: bool = False


def _specs(*specs: MethodSpec) -> Mapping[str, MethodSpec]:
    return MappingProxyType({spec.name: spec for spec in specs})


METHODS = _specs(
    MethodSpec("create_volume", ("volume",), Effect.CREATES, False),
    MethodSpec("create_snapshot", ("snapshot",), Effect.COPIES, True),
    MethodSpec("create_cloned_volume", ("volume", "src_vref"), Effect.COPIES, True),
    MethodSpec("create_volume_from_snapshot", ("volume", "snapshot"), Effect.COPIES, False),
    MethodSpec("migrate_volume", ("context", "volume", "host"), Effect.MOVES, True),
    MethodSpec("retype", ("context", "volume", "new_type", "diff", "host"), Effect.MOVES, True),
    MethodSpec("extend_volume", ("volume", "new_size"), Effect.RESIZES, True),
    MethodSpec("revert_to_snapshot", ("context", "volume", "snapshot"), Effect.REWRITES, False),
    MethodSpec("copy_volume_to_image", ("context", "volume", "image_service", "image_meta"), Effect.COPIES, True),
    MethodSpec("copy_image_to_volume", ("context", "volume", "image_service", "image_id"), Effect.REWRITES, False),
    MethodSpec("delete_volume", ("volume",), Effect.REMOVES, False),
    MethodSpec("delete_snapshot", ("snapshot",), Effect.REMOVES, True),
    MethodSpec("replicate_snapshot", ("context", "snapshot", "destination", "new_snapshot"), Effect.COPIES, True, True),
    MethodSpec("backup_volume", ("context", "source", "technique", "sink"), Effect.COPIES, True, True),
    MethodSpec("restore_backup", ("context", "backup", "volume"), Effect.REWRITES, False, True),
)
"""Every method and hook that can be listed as stateless or started as an activity, by name."""

ACTIVITY_HOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "start_activity": ("context", "method", "arguments", "*request_id"),
        "get_activity": ("context", "handle"),
        "abort_activity": ("context", "handle"),
    }
)
"""The three activity hooks with their parameters; a star marks a keyword-only one."""

_EVERYTHING = (*METHODS, *ACTIVITY_HOOKS)


class BackupSink(Protocol):
    """Where a backup goes."""

    def write(self, offset: int, length: int, label: str, payload: bytes) -> None:
        """Store `length` bytes of the volume from byte `offset`, given as `payload` encoded with technique `label`.

        Ranges that were never written on the volume need not be sent. Raises ValueError for a chunk that overlaps
        another or lies outside the volume.
        """


class VolumeDriver(Protocol):
    """Cinder's methods, names and arguments (specification section 6). Blocking; a dict returned is a model update."""

    def do_setup(self, context: Context) -> None:
        """Prepare the driver; called once after construction."""

    def check_for_setup_error(self) -> None:
        """Raise if the driver can't work; called once after `do_setup`."""

    def create_volume(self, volume: Volume) -> dict[str, Any] | None:
        """Make an empty volume of `volume.size` GiB."""

    def create_snapshot(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Make a snapshot of `snapshot.volume`; its image is judged by Q-9 (listed) or Q-10 (quiesced)."""

    def create_cloned_volume(self, volume: Volume, src_vref: Volume) -> dict[str, Any] | None:
        """Make `volume` a copy of `src_vref`; Q-9 or Q-10."""

    def create_volume_from_snapshot(self, volume: Volume, snapshot: Snapshot) -> dict[str, Any] | None:
        """Make `volume` with the content of `snapshot` (R-3 like)."""

    def migrate_volume(
        self, context: Context, volume: Volume, host: dict[str, Any]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Move `volume` to `host['host']` and return `(True, model update)`; the source is gone then.

        `(False, None)` means that the driver can't, and has done nothing; the taskflow copies through a host.
        """

    def retype(
        self, context: Context, volume: Volume, new_type: dict[str, Any], diff: dict[str, Any], host: dict[str, Any]
    ) -> bool | tuple[bool, dict[str, Any] | None]:
        """Change the type of `volume`, which may move it; False means that the driver can't."""

    def extend_volume(self, volume: Volume, new_size: int) -> None:
        """Grow `volume` to `new_size` GiB; its content stays."""

    def revert_to_snapshot(self, context: Context, volume: Volume, snapshot: Snapshot) -> None:
        """Make the content of `volume` that of `snapshot`."""

    def copy_volume_to_image(
        self, context: Context, volume: Volume, image_service: Any, image_meta: dict[str, Any]
    ) -> None:
        """Upload `volume`; `image_service.sink(image_meta['id'])` takes the data as a `BackupSink`; Q-9 or Q-10."""

    def copy_image_to_volume(
        self, context: Context, volume: Volume, image_service: Any, image_id: str, disable_sparse: bool = False
    ) -> None:
        """Fill `volume` from an image; `image_service.chunks(image_id)` gives its chunks (`BackupChunk`)."""

    def delete_volume(self, volume: Volume) -> None:
        """Delete `volume`; deleting what does not exist is no error. Raises `VolumeIsBusy` if a snapshot needs it."""

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete `snapshot`; deleting what does not exist is no error."""


class ActivityDriver(Protocol):
    """The activity hooks, all three or none (A-7)."""

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start `method` with `arguments` (by parameter name, without `context`) and return its handle at once.

        The same `request_id` gives the same handle (H-8). Raises `NotSupported` before any effect, `ConnectionLost`
        if the outcome is unknown.
        """

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The activity's status; never blocks. Raises `ActivityUnknown` where it is unknown or refused."""

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort the activity; returns once nothing is written any more.

        Raises `ActivityNotAbortable` and leaves it undisturbed, or `ActivityUnknown` as `get_activity` does.
        """


class ReplicationDriver(Protocol):
    """The hook behind `snapshot_replication: True` (A-7)."""

    def replicate_snapshot(
        self, context: Context, snapshot: Snapshot, destination: dict[str, Any], new_snapshot: Snapshot
    ) -> dict[str, Any] | None:
        """Copy `snapshot` to `destination['host']` as `new_snapshot`; doing it again makes no second copy (R-10).

        Raises `NotSupported` before any effect, which permits the fallback (R-1).
        """


class BackupDriver(Protocol):
    """The hooks behind published compression techniques (A-7)."""

    def backup_volume(self, context: Context, source: Volume | Snapshot, technique: str, sink: BackupSink) -> None:
        """Write the content of `source` to `sink`, compressed with exactly `technique` (C-1, C-5)."""

    def restore_backup(self, context: Context, backup: Backup, volume: Volume) -> dict[str, Any] | None:
        """Fill `volume` from the chunks of `backup`."""


def implements(owner: object, name: str) -> bool:
    """Whether `owner`, a driver or its class, has a method `name`; an attribute set to None counts as absent."""
    found = static_attribute(owner, name)
    if isinstance(found, (staticmethod, classmethod)):
        found = found.__func__
    return callable(found)


def abilities(driver: object) -> Callable[[str], bool]:
    """`implements` of one driver as it is now, for many questions at once about `METHODS` and `ACTIVITY_HOOKS`."""
    surely = plain_methods(driver, _EVERYTHING)
    if len(surely) == len(_EVERYTHING):
        return surely.__contains__
    return lambda name: name in surely or implements(driver, name)


_signatures: WeakKeyDictionary[type, dict[str, inspect.Signature | None]] = WeakKeyDictionary()
"""What was read of each class; weak, because every restart brings another edition of the driver's class."""


def _signature(cls: type, name: str) -> inspect.Signature | None:
    known = _signatures.setdefault(cls, {})
    if name not in known:
        known[name] = _read_signature(cls, name)
    return known[name]


def _read_signature(cls: type, name: str) -> inspect.Signature | None:
    raw = inspect.getattr_static(cls, name, None)
    if raw is None:
        return None
    bound = isinstance(raw, staticmethod) or not hasattr(type(raw), "__get__")  # nothing is passed for self
    function = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
    if not callable(function):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in without a signature binds to anything
        return None
    if bound:
        return signature
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        parameters = parameters[1:]
    return signature.replace(parameters=parameters)


def bind_call(driver: object, name: str, *args: Any, **kwargs: Any) -> Callable[[], Any]:
    """Bind a real call to the driver's method and return it, ready to be made.

    Raises `ContractViolation` if the driver has no such method or the arguments do not fit its signature. Signatures
    are read once for each class.
    """
    cls = driver if isinstance(driver, type) else type(driver)
    function = plain_function(driver, name)
    if function is not None and takes(function, len(args) + 1, kwargs):
        return functools.partial(getattr(driver, name), *args, **kwargs)
    if function is None and not implements(driver, name):
        raise ContractViolation(f"{cls.__name__} has no method {name}; define it as the contract shows it")
    signature = _signature(cls, name)
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            given = ", ".join([type(a).__name__ for a in args] + [f"{key}=…" for key in kwargs])
            raise ContractViolation(
                f"{cls.__name__}.{name}{signature} can't be called as {name}({given}): {error}; "
                f"Cinder calls it with ({', '.join(_expected(name))})"
            ) from None
    method = getattr(driver, name)
    return functools.partial(method, *args, **kwargs)


def _expected(name: str) -> tuple[str, ...]:
    if name in METHODS:
        return METHODS[name].parameters
    return ACTIVITY_HOOKS.get(name, ())


def binding_error(cls: type, name: str) -> str | None:
    """Why the contract's call of `name` would not bind to the class's signature, or None if it would."""
    if not implements(cls, name):
        return f"{cls.__name__} has no method {name}"
    signature = _signature(cls, name)
    if signature is None:
        return None
    args = [object() for parameter in _expected(name) if not parameter.startswith("*")]
    kwargs = {parameter[1:]: object() for parameter in _expected(name) if parameter.startswith("*")}
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return f"{cls.__name__}.{name}{signature}: {error}; it is called with ({', '.join(_expected(name))})"
    return None
