"""Running batches on a Dask cluster: the same batches as on this machine's cores, sent to a scheduler.

Needs the extra `cluster`. The workers need this package in the same version; the scenario is sent to them, publications
that it names included. A driver's own class has to be importable there, with the same source, and a log of fio has to
have the same path.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from harness import __version__
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.work import Done, Failed, Work, run_batch

_ADDRESS = re.compile(r"([a-z]+://)?[^\s/:]\S*:\d{1,5}|inproc://\S+")
CONNECT_S = 10
"""How long a scheduler is waited for (seconds)."""


def _version_there() -> str:
    return __version__


class Cluster:
    """Implements `scenarios.sweeps.executor.Executor` with the workers of the Dask scheduler at `address`."""

    def __init__(self, work: Work, address: str) -> None:
        try:
            self._distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise SweepError(
                "--cluster needs Dask distributed, which is not installed: "
                "pip install 'backend-activity-harness[cluster]'"
            ) from None
        if not _ADDRESS.fullmatch(address):
            raise SweepError(
                f"--cluster {address}: no Dask scheduler answers there (it is no address with a port); "
                "give the address that `dask scheduler` prints, as in tcp://host:8786"
            )
        try:
            self._client: Any = self._distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise SweepError(
                f"--cluster {address}: no Dask scheduler answers there ({_first_line(error)}); "
                "start one with `dask scheduler` and give the address that it prints, as in tcp://host:8786"
            ) from None
        self._address = address
        self._waiting: Any = self._distributed.as_completed(loop=self._client.loop)
        self._outstanding = 0
        self._slots, self._since_asked = 1, 1
        try:
            self._check_workers()
            self._work: Any = self._client.scatter(work, broadcast=True, hash=False)
        except BaseException:
            self._client.close()
            raise

    @property
    def slots(self) -> int:
        """See `scenarios.sweeps.executor.Executor.slots`; workers may come and go. One for each worker process."""
        if self._since_asked >= self._slots:
            self._slots, self._since_asked = max(1, len(self._client.nthreads())), 0
        return self._slots

    @property
    def outstanding(self) -> int:
        """See `scenarios.sweeps.executor.Executor.outstanding`."""
        return self._outstanding

    def submit(self, numbers: tuple[int, ...]) -> None:
        """See `scenarios.sweeps.executor.Executor.submit`."""
        self._waiting.add(self._client.submit(run_batch, self._work, numbers, pure=False))
        self._outstanding += 1
        self._since_asked += 1

    def next(self) -> Done | Failed:
        """See `scenarios.sweeps.executor.Executor.next`."""
        future = next(self._waiting)
        self._outstanding -= 1
        try:
            done: Done | Failed = future.result()
        except Exception as error:
            raise SweepError(
                f"--cluster {self._address}: a batch was lost ({type(error).__name__}: {_first_line(error)}); "
                "what is finished is kept: see to the cluster and run the same command again"
            ) from None
        future.release()
        return done

    def close(self) -> None:
        """See `scenarios.sweeps.executor.Executor.close`."""
        self._waiting.clear()
        self._client.close()

    def _check_workers(self) -> None:
        if not self._client.nthreads():
            raise SweepError(
                f"--cluster {self._address}: the scheduler has no worker; start some with `dask worker {self._address}`"
            )
        try:
            versions = self._client.run(_version_there)
        except Exception as error:
            raise SweepError(
                f"--cluster {self._address}: the workers can't import the harness ({_first_line(error)}); "
                f"install backend-activity-harness {__version__} where they run"
            ) from None
        for worker, version in sorted(versions.items()):
            if version != __version__:
                raise SweepError(
                    f"--cluster {self._address}: the worker {worker} has version {version} of the harness, this is "
                    f"{__version__}; rows of two versions are not mixed: install {__version__} there"
                )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
