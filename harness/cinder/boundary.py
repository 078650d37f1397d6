"""Where hosted drivers leave Python: their processes, locks and retries go to the machine and the runtime.

Imported in the driver's process only, after the runtime's own patches (`harness.runtime.patches`) and before any
driver; `install` replaces, for good, what those patches can't know of.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import cinder.privsep
import cinder.privsep.format_inspector
import cinder.privsep.path
import os_brick.privileged
import os_brick.remotefs.remotefs
import requests
import tenacity
from cinder import coordination, utils
from cinder.brick.local_dev import lvm
from cinder.image import image_utils
from oslo_concurrency import lockutils, processutils
from oslo_service import loopingcall
from oslo_utils import fileutils

from harness.cinder import files, guard, records
from harness.cinder.images import ImageMachine
from harness.cinder.machine import CURRENT, CommandFailed
from harness.cinder.world import running_runtime
from harness.hosting import HostingError, noted
from harness.runtime import RuntimeLock

_installed = False
_HONOURED = ("check_exit_code", "attempts", "run_as_root", "root_helper", "log_errors", "loglevel", "prlimit")
"""What `processutils.execute` may be told of a command. Root is nobody special here, logs are not kept, and limits are
not reached."""


def install() -> None:
    """Replace the ways out. Repeating it is harmless."""
    global _installed
    if _installed:
        return
    _installed = True
    processutils.execute = _execute
    lockutils.lock = _lock
    coordination.COORDINATOR.get_lock = _CoordinationLock
    coordination.COORDINATOR.remove_lock = _nothing
    lockutils.remove_external_lock_file = _nothing
    cinder.privsep.sys_admin_pctxt.set_client_mode(False)  # what is privileged runs here, without a daemon
    os_brick.privileged.default.set_client_mode(False)
    for name in ("FixedIntervalLoopingCall", "FixedIntervalWithTimeoutLoopingCall"):
        setattr(loopingcall, name, _LoopingCall)
    records.stand_in()
    requests.adapters.HTTPAdapter.send = _send
    files.look_at(_files_now)
    for module in (utils, lvm, image_utils, fileutils, cinder.privsep.path, os_brick.remotefs.remotefs):
        files.redirect(vars(module))
    image_utils.create_temporary_file = _temporary_file
    image_utils.tpool = _NoThreads
    cinder.privsep.format_inspector._get_format_if_safe = _format
    # each call that is tried again has a retrier of its own, with its state in it
    tenacity.threading = SimpleNamespace(local=SimpleNamespace)
    guard.install()
    eventlet: Any = sys.modules["eventlet"]
    eventlet.sleep = eventlet.greenthread.sleep = _sleep


def _execute(*command: Any, **options: Any) -> tuple[str, str]:
    """Stands in for `processutils.execute`: the command runs on the machine of the driver that asks."""
    machine = CURRENT.get()
    if machine is None:
        raise HostingError(f"{' '.join(map(str, command))} was run outside of any hosted driver's call")
    words = tuple(str(word) for word in command)
    strange = [name for name, value in options.items() if value and name not in _HONOURED]
    if strange:
        machine.refuse(list(words), f"it was run with {strange[0]}, which is not known")
    allowed = options.get("check_exit_code", [0])
    stdout, stderr, code = "", "", 0
    for _ in range(int(options.get("attempts", 1))):
        try:
            (stdout, stderr), code = machine.execute(words), 0
        except CommandFailed as error:
            stdout, stderr, code = error.stdout, error.stderr, error.code
        if code == 0:
            break
    allowed = [0] if allowed is True else [allowed] if isinstance(allowed, int) and allowed is not False else allowed
    if allowed is not False and code not in allowed:
        raise processutils.ProcessExecutionError(stdout=stdout, stderr=stderr, exit_code=code, cmd=" ".join(words))
    return stdout, stderr


def _send(adapter: Any, request: Any, **options: Any) -> Any:
    """Stands in for sending an HTTP request: the machine of the driver that asks answers."""
    machine = CURRENT.get()
    if machine is None:
        raise HostingError(f"{request.method} {request.url} was sent outside of any hosted driver's call")
    body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
    status, answer = machine.answer(request.method, request.url, body)
    response = requests.Response()
    response.status_code, response.url, response.request = status, request.url, request
    response.headers["Content-Type"] = "application/json"
    response.raw = io.BytesIO(json.dumps(answer).encode())
    return response


def _files_now() -> files.Files | None:
    machine = CURRENT.get()
    return None if machine is None else machine.files


def _machine() -> ImageMachine:
    machine = CURRENT.get()
    if not isinstance(machine, ImageMachine):
        raise noted(HostingError("an image was worked on where no machine for it is simulated"))
    return machine


def _temporary_file(*args: Any, prefix: str = "", suffix: str = "", **options: Any) -> str:
    tree = _machine().files
    for number in itertools.count():
        path = f"{files.DIRECTORY_OF_IMAGES}/{prefix}{number}{suffix}"
        if not tree.tree.exists(path):
            tree.tree.create_file(path)
            return path
    raise AssertionError("there is always a next number")


def _format(path: str, allow_qcow2_backing_file: bool) -> str:
    """Stands in for the format inspector, which reads the file itself."""
    return _machine().format_of(path)


class _NoThreads:
    """Stands in for eventlet's thread pool."""

    @staticmethod
    def Proxy(subject: Any, *args: Any, **options: Any) -> Any:
        """The object itself."""
        return subject


def _runtime_lock(name: str) -> RuntimeLock:
    runtime, machine = running_runtime(), CURRENT.get()
    if runtime is None or machine is None:
        raise HostingError(f"the lock {name!r} was taken outside of any hosted driver's call")
    return runtime.lock(f"{machine.name}: {name}")


@contextlib.contextmanager
def _lock(name: str, *args: Any, **options: Any) -> Iterator[None]:
    """Stands in for `lockutils.lock`, external locks too: they hold on one machine."""
    with _runtime_lock(name):
        yield


class _CoordinationLock:
    """Stands in for a tooz lock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = _runtime_lock(name)

    def acquire(self, blocking: Any = True) -> bool:
        """Wait for the lock."""
        self._lock.__enter__()
        return True

    def release(self) -> bool:
        """Give it back."""
        self._lock.__exit__(None, None, None)
        return True


class _LoopingCall:
    """Stands in for oslo's looping calls, run in the caller's own task: everybody waits for them at once."""

    def __init__(self, function: Any = None, *args: Any, **options: Any) -> None:
        self._call: Callable[[], object] = lambda: function(*args, **options)
        self._result: Any = None

    def start(self, interval: float = 1, initial_delay: float | None = None, timeout: float = 0, **_: Any) -> Any:
        """Call until the call says that it is done. Raises oslo's `LoopingCallTimeOut`, and what the call raises."""
        began = time.monotonic()
        if initial_delay:
            time.sleep(initial_delay)
        while True:
            try:
                self._call()
            except loopingcall.LoopingCallDone as done:
                self._result = done.retvalue
                return self
            if timeout and time.monotonic() - began > timeout:
                raise loopingcall.LoopingCallTimeOut("looping call timed out")
            time.sleep(interval)

    def wait(self) -> Any:
        """What the call returned when it was done."""
        return self._result

    def stop(self) -> None:
        """It is over."""


def _sleep(seconds: float = 0, *args: Any) -> None:
    """Stands in for `eventlet.sleep`; one of no length does not switch."""
    time.sleep(seconds)


def _nothing(*args: Any, **options: Any) -> None:
    return
