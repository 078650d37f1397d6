"""The class that the harness drives in the place of a Cinder driver's own: same methods, records turned into objects.

Around each call stands what Cinder's volume manager does around it (`cinder/volume/manager.py`): exports are removed
before a volume is deleted, `retype` is asked only for a volume that stays, an exception of Cinder's becomes the
contract's where the contract has one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cinder import db, exception

from harness.cinder import configuration as cinder_configuration
from harness.cinder.exporting import DriverExporter
from harness.cinder.files import redirect_class
from harness.cinder.images import RAW, HostedImageService, ImageMachine
from harness.cinder.machine import Machine, disk_of, reaching
from harness.cinder.native import is_native
from harness.cinder.records import Database, request_context, rows, snapshot_object, volume_object
from harness.cinder.sidecar import publication_for
from harness.contract import ATTRIBUTE, METHODS, ConnectionLost, NotSupported, VolumeIsBusy, bind_call
from harness.hosting import NotPlayed
from harness.loading import options_of
from harness.model import Snapshot, Volume, backend_name
from harness.static_lookup import static_attribute
from harness.testbed import NodeConnection

_BY_HOST = frozenset({"backend", "user"})
"""Options that the harness adds."""
_REFUSALS = (
    NotImplementedError,
    exception.InvalidVolume,
    exception.InvalidSnapshot,
    exception.ExtendVolumeError,
)
"""What drivers raise where they can't do something; "not supported" if nothing was done before."""
STARTS = 4
"""How often a driver is started, at most, until it is set up: once, and reinit_driver_count's default of 3."""


def host_class(cls: type, machine: type[Machine], options: Mapping[str, Any]) -> type:
    """A class that hosts `cls` before such a machine, with the methods that `cls` has itself.

    It publishes what `cls` does, else what the sidecar says of it under these options, else nothing.
    """
    namespace: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "_upstream": cls,
        "_machine_class": machine,
    }
    for name, spec in METHODS.items():
        if not spec.is_hook and is_native(cls, name):
            namespace[name] = _METHODS[name]
    redirect_class(cls, {"db": ((db, db.api), Database())})
    published = publication_for(cls, {**machine.defaults, **options})
    if static_attribute(cls, ATTRIBUTE) is not None:
        namespace[ATTRIBUTE] = property(lambda self: getattr(self._driver, ATTRIBUTE))
    elif published is not None:
        namespace[ATTRIBUTE] = property(lambda self: published.attributes)
    return type(cls.__name__, (Hosted,), namespace)


class Hosted:
    """What hosted drivers share."""

    _upstream: type
    _machine_class: type[Machine]

    def __init__(self, *args: Any, configuration: Any, host: str, **kwargs: Any) -> None:
        self._configuration = configuration
        self._host = host
        self._driver: Any = None
        self._machine: Machine | None = None

    def do_setup(self, context: Any) -> None:
        """Make the driver and set it up, as the volume manager does; its one connection is its machine's."""
        self._start(check=False)

    def check_for_setup_error(self) -> None:
        """The driver's own check, then its first report of its state, as when the service starts."""
        try:
            self._check()
        except ConnectionLost:
            self._start(check=True)

    def _start(self, check: bool) -> None:
        """Start the driver, again where its connection is lost meanwhile, as the service does (reinit_driver_count)."""
        for attempt in range(1, STARTS + 1):
            try:
                self._set_up()
                if check:
                    self._check()
                return
            except ConnectionLost:
                if attempt == STARTS:
                    raise
                time.sleep(attempt)

    def _set_up(self) -> None:
        given = {k: v for k, v in options_of(self._configuration).items() if k not in _BY_HOST}
        backend = self._configuration.safe_get("backend") or backend_name(self._host)
        connection = self._configuration.backend_connect()
        machine_class = self._machine_class.before(connection)
        options = {**machine_class.defaults, **given, **machine_class.options_from(connection)}
        disk = disk_of(backend)
        self._machine = machine_class(backend, connection, disk, options)
        with self._calling() as machine:
            conf = cinder_configuration.make(self._upstream, backend, options)
            self._driver = self._upstream(configuration=conf, host=self._host.partition("#")[0])
            database = Database()
            for part in (self._driver, getattr(self._driver, "target_driver", None)):
                if part is not None:
                    part.db = database
            self._driver.do_setup(request_context())
            machine.adopt(self._driver)
        if isinstance(connection, NodeConnection):
            connection.export_by(DriverExporter(self._driver, self._machine))

    def _check(self) -> None:
        with self._calling() as machine:
            self._driver.check_for_setup_error()
            self._driver.set_initialized()
            self._driver.get_volume_stats(refresh=True)
        machine.is_set_up = True

    def _images(self, service: Any) -> HostedImageService:
        if not isinstance(self._machine, ImageMachine):
            raise NotPlayed("images are not played on this driver's machine")
        return HostedImageService(self._machine, service)

    @contextlib.contextmanager
    def _calling(self) -> Iterator[Machine]:
        """Let what the driver does meanwhile reach its machine, and turn its exceptions into the contract's.

        Raises as `reaching` does.
        """
        assert self._machine is not None, "do_setup was not called"
        machine = self._machine
        effects = machine.effects
        with reaching(machine):
            try:
                yield machine
            except (exception.VolumeIsBusy, exception.SnapshotIsBusy) as error:
                raise VolumeIsBusy(str(error)) from error
            except _REFUSALS as error:
                if machine.effects == effects:  # refused before anything was done
                    raise NotSupported(str(error) or type(error).__name__) from error
                raise

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the driver with the harness's records; returns its answer."""
        context = request_context()
        objects: list[tuple[Volume | Snapshot, Any]] = []
        given = []
        with self._calling() as machine:
            for argument in arguments:
                made = argument
                if isinstance(argument, Volume):
                    made = volume_object(context, argument)
                elif isinstance(argument, Snapshot):
                    made = snapshot_object(context, argument)
                if made is not argument:
                    objects.append((argument, made))
                    volume = argument if isinstance(argument, Volume) else argument.volume
                    machine.disk.attached[volume.id] = volume.attach_status == "attached"
                given.append(made)
            given = [context if each is _CONTEXT else each for each in given]
            answer = bind_call(self._driver, name, *given)()
            for record, made in objects:
                rows().keep(record, made.obj_get_changes())
        return answer

    def _update(self, name: str, record: Volume | Snapshot, *arguments: Any) -> dict[str, Any] | None:
        """Call a method whose answer is a model update; fields that only Cinder has are kept in the rows."""
        answer = self._call(name, *arguments)
        if not isinstance(answer, dict):
            return answer  # type: ignore[no-any-return]  # the taskflow says what is wrong with it
        rows().keep(record, {k: v for k, v in answer.items() if not hasattr(record, k)})
        return {key: value for key, value in answer.items() if hasattr(record, key)}


_CONTEXT = object()
"""Stands for the request context among the arguments of a call."""


@contextlib.contextmanager
def _status(record: Volume | Snapshot, status: str) -> Iterator[None]:
    """Let the driver and Cinder's database see that status, which the API sets before the manager is asked."""
    extra = rows().extra.setdefault(record.id, {})
    extra["status"] = status
    try:
        yield
    finally:
        extra.pop("status", None)
        extra.pop("progress", None)


def _create_volume(self: Hosted, volume: Volume) -> Any:
    return self._update("create_volume", volume, volume)


def _create_snapshot(self: Hosted, snapshot: Snapshot) -> Any:
    with _status(snapshot, "creating"):
        return self._update("create_snapshot", snapshot, snapshot)


def _create_cloned_volume(self: Hosted, volume: Volume, src_vref: Volume) -> Any:
    return self._update("create_cloned_volume", volume, volume, src_vref)


def _create_volume_from_snapshot(self: Hosted, volume: Volume, snapshot: Snapshot) -> Any:
    return self._update("create_volume_from_snapshot", volume, volume, snapshot)


def _migrate_volume(self: Hosted, context: Any, volume: Volume, host: dict[str, Any]) -> Any:
    if not self._machine_class.plays_moves:
        return False, None
    return self._call("migrate_volume", _CONTEXT, volume, host)


def _retype(
    self: Hosted, context: Any, volume: Volume, new_type: dict[str, Any], diff: dict[str, Any], host: dict[str, Any]
) -> Any:
    # the manager asks the driver only where the volume stays on its backend, and migrates it otherwise
    if backend_name(host["host"]) == backend_name(volume.host):
        return self._call("retype", _CONTEXT, volume, new_type, diff, host)
    return _migrate_volume(self, context, volume, host)


def _extend_volume(self: Hosted, volume: Volume, new_size: int) -> None:
    self._call("extend_volume", volume, new_size)


def _revert_to_snapshot(self: Hosted, context: Any, volume: Volume, snapshot: Snapshot) -> None:
    self._call("revert_to_snapshot", _CONTEXT, volume, snapshot)


def _copy_volume_to_image(
    self: Hosted, context: Any, volume: Volume, image_service: Any, image_meta: dict[str, Any]
) -> None:
    self._call("copy_volume_to_image", _CONTEXT, volume, self._images(image_service), {**RAW, **image_meta})


def _copy_image_to_volume(
    self: Hosted, context: Any, volume: Volume, image_service: Any, image_id: str, disable_sparse: bool = False
) -> None:
    self._call("copy_image_to_volume", _CONTEXT, volume, self._images(image_service), image_id, disable_sparse)


def _delete_volume(self: Hosted, volume: Volume) -> None:
    with _status(volume, "deleting"):
        self._call("remove_export", _CONTEXT, volume)
        self._call("delete_volume", volume)


def _delete_snapshot(self: Hosted, snapshot: Snapshot) -> None:
    with _status(snapshot, "deleting"):
        self._call("delete_snapshot", snapshot)


_METHODS: Mapping[str, Callable[..., Any]] = {
    "create_volume": _create_volume,
    "create_snapshot": _create_snapshot,
    "create_cloned_volume": _create_cloned_volume,
    "create_volume_from_snapshot": _create_volume_from_snapshot,
    "migrate_volume": _migrate_volume,
    "retype": _retype,
    "extend_volume": _extend_volume,
    "revert_to_snapshot": _revert_to_snapshot,
    "copy_volume_to_image": _copy_volume_to_image,
    "copy_image_to_volume": _copy_image_to_volume,
    "delete_volume": _delete_volume,
    "delete_snapshot": _delete_snapshot,
}
for _name, _function in _METHODS.items():
    _function.__name__ = _name
del _name, _function
