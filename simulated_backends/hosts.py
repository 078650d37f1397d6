"""The hosts on which callers run: a host can stand still, its kernel and everything on it with it.

The machine is what stands still, as a virtual machine does that its hypervisor pauses, and not one process of it
(SIGSTOP). A stopped process's clock goes on, and the kernel of its machine still answers for it: open-iscsi's NOP-Out
and its answers to NOP-In come from the kernel, as the lease renewals of a Linux NFS client do, so that no session
would ever be lost. A paused machine holds up everything that a stopped process does, and its keep-alives besides.

The same goes for what else a host times itself: how long its write gates hold (Q-3: the hosts release by themselves),
and how long it waits before it logs in again and before it gives a lost session up (open-iscsi's replacement_timeout).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.runtime import Signal
from harness.runtime.agenda import Alarm
from harness.runtime.virtual import VirtualRuntime
from harness.runtime.virtual_task import VirtualTask, current_task
from simulated_backends.lines import Network

_PRUNE_FROM = 64
"""From so many tasks of a host on, those that are over are forgotten whenever their number has doubled."""


class HostTimer:
    """A call that a host makes by its own clock; implements `harness.runtime.Timer`."""

    def __init__(self, hosts: Hosts, host: str, ns: int, action: Callable[[], None]) -> None:
        self._hosts = hosts
        self._host = host
        self._left_ns = ns
        self._action = action
        self._alarm: Alarm | None = None

    def cancel(self) -> None:
        """Make sure that the call does not happen any more."""
        self._hosts.forget(self._host, self)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def run(self) -> None:
        """The host's clock goes on."""
        self._alarm = self._hosts.env.alarm(self._left_ns, self._happen)

    def stop(self) -> None:
        """The host's clock stands still."""
        if self._alarm is not None:
            self._left_ns = self._hosts.env.due_ns(self._alarm) - int(self._hosts.env.now)
            self._alarm.cancel()
            self._alarm = None

    def _happen(self) -> None:
        self._hosts.forget(self._host, self)
        self._alarm = None
        self._action()


class Hosts:
    """Which tasks run on which host. A task does so from its first call as that host on, and its threads with it."""

    def __init__(self, runtime: VirtualRuntime, network: Network) -> None:
        self.env = runtime.env
        self._runtime = runtime
        self._network = network
        self._timers: dict[str, dict[HostTimer, None]] = {}
        self._tasks: dict[str, dict[VirtualTask[Any], None]] = {}
        self._prune_at: dict[str, int] = {}
        self._still: dict[str, int] = {}
        self._go_on: dict[str, Signal[None]] = {}

    def acts(self, host: str) -> None:
        """The running task does something on that host; blocks while the host stands still."""
        task = current_task()
        if task is None:
            return
        tasks = self._tasks.get(host)
        if tasks is None:
            tasks = self._tasks[host] = {}
        if task not in tasks:
            tasks[task] = None
            self._prune(host)
        self.wait_for(host)

    def wait_for(self, host: str) -> None:
        """Block while a host stands still, on behalf of somebody who need not run on it."""
        while host in self._still:
            self._go_on[host].wait()

    def call_later(self, host: str, ns: int, action: Callable[[], None]) -> HostTimer:
        """Call `action`, which must not block, after `ns` nanoseconds on the clock of a host."""
        timer = HostTimer(self, host, ns, action)
        self._timers.setdefault(host, {})[timer] = None
        if host not in self._still:
            timer.run()
        return timer

    def forget(self, host: str, timer: HostTimer) -> None:
        """A timer of that host is over. Repeating it is harmless."""
        self._timers.get(host, {}).pop(timer, None)

    def crash(self, host: str) -> int:
        """Let every task that runs on a host die where it is, called in the hub; returns how many there were."""
        tasks = [task for task in self._tasks.pop(host, {}) if not task.is_over]
        for task in tasks:
            task.abandon()
        return len(tasks)

    def stand_still(self, host: str) -> Callable[[], None]:
        """Pause a host, called in the hub; returns what lets it go on. Pauses of one host nest.

        Its tasks stop where they wait and their clocks with them; nothing reaches the host or comes from it. What
        the network held back is delivered when it goes on, and the keep-alives of its kernel and its other timers go on
        where they stood.
        """
        if host not in self._still:
            for timer in self._timers.get(host, ()):
                timer.stop()
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
                for timer in self._timers.get(host, ()):
                    timer.run()
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
