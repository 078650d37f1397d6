"""The hosts on which callers run: a host can stand still, its kernel and everything on it with it.

The machine is what stands still, as a virtual machine does that its hypervisor pauses, and not one process of it
(SIGSTOP). A stopped process's clock goes on, and the kernel of its machine still answers for it: open-iscsi's NOP-Out
and its answers to NOP-In come from the kernel, as the lease renewals of a Linux NFS client do, so that no session
would ever be lost. A paused machine holds up everything that a stopped process does, and its keep-alives besides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.runtime import Signal
from harness.runtime.virtual import VirtualRuntime
from harness.runtime.virtual_task import VirtualTask
from simulated_backends.lines import Network

_PRUNE_FROM = 64
"""From so many tasks of a host on, those that are over are forgotten whenever their number has doubled."""


class Hosts:
    """Which tasks run on which host. A task does so from its first call as that host on, and its threads with it."""

    def __init__(self, runtime: VirtualRuntime, network: Network) -> None:
        self._runtime = runtime
        self._network = network
        self._tasks: dict[str, dict[VirtualTask[Any], None]] = {}
        self._prune_at: dict[str, int] = {}
        self._still: dict[str, int] = {}
        self._go_on: dict[str, Signal[None]] = {}

    def acts(self, host: str) -> None:
        """The running task does something on that host; blocks while the host stands still."""
        task = self._runtime.current()
        if task is None:
            return
        tasks = self._tasks.get(host)
        if tasks is None:
            tasks = self._tasks[host] = {}
        if task not in tasks:
            tasks[task] = None
            self._prune(host)
        while host in self._still:
            self._go_on[host].wait()

    def crash(self, host: str) -> int:
        """Let every task that runs on a host die where it is, called in the hub; returns how many there were."""
        tasks = [task for task in self._tasks.pop(host, {}) if not task.is_over]
        for task in tasks:
            task.abandon()
        return len(tasks)

    def stand_still(self, host: str) -> Callable[[], None]:
        """Pause a host, called in the hub; returns what lets it go on. Pauses of one host nest.

        Its tasks stop where they wait and their clocks with them; nothing reaches the host or comes from it. What
        the network held back is delivered when it goes on, and the keep-alives of its kernel go on where they stood.
        """
        self._still[host] = self._still.get(host, 0) + 1
        self._go_on.setdefault(host, self._runtime.signal(f"{host} goes on"))
        self._network.freeze(host)
        tasks = [task for each in self._tasks.get(host, ()) for task in _family(each) if not task.is_over]
        held = list(dict.fromkeys(tasks))
        for task in held:
            task.suspend()

        def go_on() -> None:
            self._still[host] -= 1
            if not self._still[host]:
                del self._still[host]
                self._go_on.pop(host).set(None)
            self._network.thaw(host)
            for task in held:
                task.resume()

        return go_on

    def _prune(self, host: str) -> None:
        tasks = self._tasks[host]
        if len(tasks) >= self._prune_at.get(host, _PRUNE_FROM):
            self._tasks[host] = {task: None for task in tasks if not task.is_over}
            self._prune_at[host] = max(_PRUNE_FROM, 2 * len(self._tasks[host]))


def _family(task: VirtualTask[Any]) -> list[VirtualTask[Any]]:
    """A task, the threads that it started, and theirs."""
    return [task, *(member for companion in task.companions for member in _family(companion))]
