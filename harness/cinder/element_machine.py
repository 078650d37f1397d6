"""An array with the Element API (SolidFire): Cinder's driver speaks JSON-RPC over HTTP to it, and runs no commands.

Only what the driver calls is played. By NetApp's reference of the Element API (12.8): a clone inherits the attributes
and the QoS of its source (CloneVolume); snapshots are kept when their volume is deleted, and go when it is purged
(DeleteVolume, PurgeDeletedVolume). Assumed: a clone shares its source's blocks, as the array's deduplication has it,
and takes no time; the name of the error for purging a volume that was not deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

from harness.cinder.machine import CommandFailed, Machine, short
from harness.cinder.syntax import SyntaxUnknown, check_parameters, takes
from harness.model import GIB

PREFIX = "UUID-"
"""What the driver puts before Cinder's id to name a volume or a snapshot (sf_volume_prefix)."""

PATH = re.compile(r"/json-rpc/\d+\.\d+/?")
"""Where the cluster takes calls, by the version of its interface."""


class ApiError(Exception):
    """The array answers with an error of that name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class ElementMachine(Machine):
    """One cluster, which is the backend. What it keeps is on its own disk."""

    testbeds: ClassVar[tuple[str, ...]] = ("iscsi-sim",)
    plays_moves: ClassVar[bool] = False  # it pairs two clusters, and reads the other's section of cinder.conf
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"san_ip": "192.0.2.30", "san_login": "cinder", "san_password": "secret", "sf_volume_prefix": PREFIX}
    )

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        """See `Machine.check`."""
        for name, played in {"sf_volume_prefix": PREFIX, "sf_enable_vag": False}.items():
            if options.get(name, played) != played:
                raise ValueError(f"{name} = {options[name]!r} is not played; set {name} = {played!r}, or leave it out")

    def answer(self, method: str, url: str, body: str) -> tuple[int, Any]:
        """See `Machine.answer`. An `api_<call>` is a call of the Element API, with what it honours beside it."""
        if self.is_set_up:
            self.settle()
        what = [method, url, body]
        place = urlsplit(url)
        if method != "POST" or place.hostname != self.options["san_ip"] or not PATH.fullmatch(place.path):
            self.refuse(what, f"only POST of a JSON-RPC call to the cluster, {self.options['san_ip']}, is known")
        call: dict[str, Any] = self.carefully(what, lambda: dict(json.loads(body)))
        given = call.get("params") or {}
        carry_out: Callable[[dict[str, Any]], Any] | None = getattr(self, f"api_{call.get('method')}", None)
        if carry_out is None or set(call) - {"method", "params", "id"}:
            self.refuse(what, "no such call is known")
        try:
            check_parameters(carry_out, given)
        except SyntaxUnknown as error:
            self.refuse(what, str(error))
        self.reach()
        try:
            return 200, {"id": None, "result": self.carefully(what, lambda: carry_out(given))}
        except ApiError as error:
            return 200, {"id": None, "error": {"name": error.name, "code": 500, "message": str(error)}}
        except CommandFailed as error:
            return 200, {"id": None, "error": {"name": "xUnknown", "code": 500, "message": error.stderr}}

    # ---- what the cluster keeps --------------------------------------------------------------------------------------

    def _table(self, name: str) -> dict[int, dict[str, Any]]:
        table: dict[int, dict[str, Any]] = self.disk.state.setdefault(name, {})
        return table

    def _next(self) -> int:
        number = int(self.disk.state.get("last", 0)) + 1
        self.disk.state["last"] = number
        return number

    def _find(self, table: str, number: Any, error: str) -> dict[str, Any]:
        found = self._table(table).get(int(number))
        if found is None:
            raise ApiError(error, f"there is no {number} in {table}")
        return found

    # ---- calls -------------------------------------------------------------------------------------------------------

    def api_GetClusterInfo(self, given: dict[str, Any]) -> Any:
        info = {"name": self.name, "mvip": "192.0.2.30", "svip": "192.0.2.31", "uuid": f"uuid-of-{self.name}"}
        return {"clusterInfo": info | {"uniqueID": self.name}}

    def api_GetClusterVersionInfo(self, given: dict[str, Any]) -> Any:
        return {"clusterAPIVersion": "12.3"}

    def api_GetClusterCapacity(self, given: dict[str, Any]) -> Any:
        most = 1024 * GIB
        names = ("usedSpace", "uniqueBlocksUsedSpace", "uniqueBlocks", "zeroBlocks", "nonZeroBlocks", "currentIOPS")
        zeros = dict.fromkeys((*names, "averageIOPS", "maxIOPS", "peakIOPS"), 0)
        return {"clusterCapacity": zeros | {"maxUsedSpace": most, "maxProvisionedSpace": most}}

    @takes("username")
    def api_GetAccountByName(self, given: dict[str, Any]) -> Any:
        for account in self._table("accounts").values():
            if account["username"] == given["username"]:
                return {"account": account}
        raise ApiError("xUnknownAccount", f"there is no account {given['username']}")

    def api_ListAccounts(self, given: dict[str, Any]) -> Any:
        return {"accounts": list(self._table("accounts").values())}

    @takes("username initiatorSecret targetSecret attributes")
    def api_AddAccount(self, given: dict[str, Any]) -> Any:
        number = self._next()
        self._table("accounts")[number] = {**given, "accountID": number, "volumes": []}
        return {"accountID": number}

    @takes("name accountID totalSize enable512e attributes qos", sliceCount=(1,))
    def api_CreateVolume(self, given: dict[str, Any]) -> Any:
        size = int(given["totalSize"])
        made = self._new_volume(given["name"], given["accountID"], size, given.get("attributes") or {})
        made["qos"].update(given.get("qos") or {})
        job = short("create_volume", target=_object_of(given["name"]), size=size // GIB)
        self.perform(job, lambda: self._keep(made))
        return {"volumeID": made["volumeID"]}

    @takes("name volumeID snapshotID newAccountID newSize")
    def api_CloneVolume(self, given: dict[str, Any]) -> Any:
        volume = self._find("volumes", given["volumeID"], "xVolumeIDDoesNotExist")
        source = _object_of(volume["name"])
        if given.get("snapshotID"):
            source = _object_of(self._find("snapshots", given["snapshotID"], "xSnapshotIDDoesNotExist")["name"])
        size = int(given.get("newSize") or volume["totalSize"])
        account = given.get("newAccountID") or volume["accountID"]
        made = self._new_volume(given["name"], account, size, dict(volume["attributes"]))
        made["qos"] = dict(volume["qos"])
        target = _object_of(given["name"])
        job = short("copy", source=source, target=target, size=size // GIB, linked=True)
        self.perform(job, lambda: self._keep(made))
        return {"volumeID": made["volumeID"]}

    @takes("volumeName startVolumeID limit")
    def api_ListVolumes(self, given: dict[str, Any]) -> Any:
        found = [v for v in self._table("volumes").values() if given.get("volumeName") in (None, v["name"])]
        found = [v for v in found if v["volumeID"] >= int(given.get("startVolumeID") or 0)]
        return {"volumes": found[: int(given.get("limit") or len(found) or 1)]}

    def api_ListActiveVolumes(self, given: dict[str, Any]) -> Any:
        return self.api_ListVolumes({})

    @takes("accountID")
    def api_ListVolumesForAccount(self, given: dict[str, Any]) -> Any:
        return {"volumes": [v for v in self._table("volumes").values() if v["accountID"] == given["accountID"]]}

    @takes("volumeID name accountID totalSize enable512e attributes qos", sliceCount=(1,))
    def api_ModifyVolume(self, given: dict[str, Any]) -> Any:
        volume = self._find("volumes", given["volumeID"], "xVolumeIDDoesNotExist")
        if given.get("name", volume["name"]) != volume["name"]:
            raise ValueError("a volume's new name is not known")
        changes = {k: v for k, v in given.items() if k in ("attributes", "accountID", "qos") and v is not None}
        size = int(given.get("totalSize") or volume["totalSize"])
        if size < volume["totalSize"]:
            raise ApiError("xInvalidParameter", "a volume can't shrink")
        if size > volume["totalSize"]:
            job = short("extend_volume", source=_object_of(volume["name"]), size=size // GIB)
            self.perform(job, lambda: volume.update({"totalSize": size}))
        volume["qos"].update(changes.pop("qos", {}))
        volume.update(changes)
        return {"volume": volume}

    @takes("volumeID")
    def api_DeleteVolume(self, given: dict[str, Any]) -> Any:
        volume = self._find("volumes", given["volumeID"], "xVolumeIDDoesNotExist")
        job = short("delete", source=_object_of(volume["name"]))
        self.perform(job, lambda: volume.update({"status": "deleted"}))
        return {}

    @takes("volumeID")
    def api_PurgeDeletedVolume(self, given: dict[str, Any]) -> Any:
        volume = self._find("volumes", given["volumeID"], "xVolumeIDDoesNotExist")
        if volume["status"] != "deleted":
            raise ApiError("xVolumeNotDeleted", f"volume {volume['volumeID']} has to be deleted before it is purged")
        for number, snapshot in tuple(self._table("snapshots").items()):
            if snapshot["volumeID"] == volume["volumeID"]:
                self.api_DeleteSnapshot({"snapshotID": number})
        del self._table("volumes")[volume["volumeID"]]
        return {}

    @takes("volumeID name")
    def api_CreateSnapshot(self, given: dict[str, Any]) -> Any:
        volume = self._find("volumes", given["volumeID"], "xVolumeIDDoesNotExist")
        made = {"snapshotID": self._next(), "volumeID": volume["volumeID"], "name": given["name"], "status": "done"}
        job = short("snapshot", source=_object_of(volume["name"]), target=_object_of(given["name"]))
        self.perform(job, lambda: self._table("snapshots").update({made["snapshotID"]: made}))
        return {"snapshotID": made["snapshotID"]}

    @takes("volumeID")
    def api_ListSnapshots(self, given: dict[str, Any]) -> Any:
        wanted = given.get("volumeID")
        return {"snapshots": [s for s in self._table("snapshots").values() if wanted in (None, s["volumeID"])]}

    @takes("snapshotID")
    def api_DeleteSnapshot(self, given: dict[str, Any]) -> Any:
        snapshot = self._find("snapshots", given["snapshotID"], "xSnapshotIDDoesNotExist")
        job = short("delete", source=_object_of(snapshot["name"]))
        self.perform(job, lambda: self._forget_snapshot(snapshot))
        return {}

    @takes("accountID volumeID snapshotID", saveCurrentState=("false", False))
    def api_RollbackToSnapshot(self, given: dict[str, Any]) -> Any:
        volume = self._find("volumes", given["volumeID"], "xVolumeIDDoesNotExist")
        snapshot = self._find("snapshots", given["snapshotID"], "xSnapshotIDDoesNotExist")
        job = short("revert", source=_object_of(volume["name"]), target=_object_of(snapshot["name"]))
        self.perform(job, lambda: None)
        return {}

    def _new_volume(self, name: str, account: int, size: int, attributes: dict[str, Any]) -> dict[str, Any]:
        number = self._next()
        return {
            "volumeID": number,
            "name": name,
            "accountID": account,
            "totalSize": size,
            "status": "active",
            "attributes": attributes,
            "qos": {"minIOPS": 100, "maxIOPS": 15000, "burstIOPS": 15000},
            "iqn": f"iqn.2010-01.com.solidfire:{self.name}.{number}",
            "volumePairs": [],
        }

    def _keep(self, volume: dict[str, Any]) -> None:
        self._table("volumes")[volume["volumeID"]] = volume

    def _forget_snapshot(self, snapshot: dict[str, Any]) -> None:
        self._table("snapshots").pop(snapshot["snapshotID"], None)


def _object_of(name: str) -> str:
    return name.removeprefix(PREFIX)
