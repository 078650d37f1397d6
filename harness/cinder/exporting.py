"""What Cinder's volume manager has a driver do where a host attaches a volume, or detaches it
(`initialize_connection`, `terminate_connection` and `detach_volume` of `cinder/volume/manager.py`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from harness.cinder.machine import Machine, reaching
from harness.cinder.records import request_context, rows, volume_object
from harness.hosting import HostingError
from harness.testbed import NodeConnection


class DriverExporter:
    """Implements `harness.testbed.Exporter` with a driver that is set up."""

    def __init__(self, driver: Any, machine: Machine) -> None:
        self._driver = driver
        self._machine = machine

    def attach(self, connection: NodeConnection, volume_id: str, connector: Mapping[str, str]) -> Mapping[str, Any]:
        """See `Exporter.attach`: `create_export`, whose model update is kept, then `initialize_connection`.

        Where that fails, `remove_export`, as Cinder does it; raises what the driver raises.
        """
        with self._calling(connection) as context:
            self._driver.validate_connector(dict(connector))
            record = _record(volume_id)
            volume = volume_object(context, record)
            update = self._driver.create_export(context, volume, dict(connector))
            rows().keep(record, update or {})
            volume = volume_object(context, record)
            try:
                answer = self._driver.initialize_connection(volume, dict(connector))
            except Exception:
                self._driver.remove_export(context, volume)
                raise
        return dict(answer["data"])

    def detach(self, connection: NodeConnection, volume_id: str, connector: Mapping[str, str], last: bool) -> None:
        """See `Exporter.detach`: `terminate_connection`, and `remove_export` after the last."""
        with self._calling(connection) as context:
            volume = volume_object(context, _record(volume_id))
            self._driver.terminate_connection(volume, dict(connector), force=False)
            if last:
                self._driver.remove_export(context, volume)

    @contextlib.contextmanager
    def _calling(self, connection: NodeConnection) -> Iterator[Any]:
        """Let what the driver does meanwhile reach its machine through that connection."""
        machine = type(self._machine)(self._machine.name, connection, self._machine.disk, self._machine.options)  # type: ignore[arg-type]
        with reaching(machine):
            yield request_context()


def _record(volume_id: str) -> Any:
    found = rows().volumes.get(volume_id)
    if found is None:
        raise HostingError(f"volume {volume_id} is attached, and no driver was ever told of it")
    return found
