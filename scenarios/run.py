"""One run of a scenario: a function of scenario, variant and seed, in the process that calls it."""

from __future__ import annotations

from collections.abc import Callable

from harness.recorder import Event
from harness.runtime import Limits, patches
from harness.schedule import Fault
from harness.study_results import RunMeasures
from scenarios.backends import Backends
from scenarios.background_io import BackgroundIo
from scenarios.checks import RESTART
from scenarios.deployment import Deployment
from scenarios.details import details_of
from scenarios.effort import check_effort_of
from scenarios.foreground_share import ForegroundShare
from scenarios.measures import measure
from scenarios.metering import ActivityMeter, SpaceMeter
from scenarios.model import FaultTable, Scenario
from scenarios.operations import Timetable
from scenarios.parsing import ScenarioError
from scenarios.vary import variant_of
from scenarios.workloads import Foreground, Streams
from scenarios.world import World

_STEPS_AT_ONE_INSTANT = 5_000_000
"""Ten thousand volumes may well have something due at one instant."""


Begun = Callable[[Callable[[], int]], None]
"""Told when the scenario's own time begins; what it is given says how much of it has passed (ns), from any thread."""


def simulate(
    scenario: Scenario, variant: str, seed: int, details: bool = False, begun: Begun = lambda passed: None
) -> RunMeasures:
    """Simulate a variant (one of `scenario.variants`) once, in virtual time.

    Deterministic: equal arguments give equal results in any process; arguments and result can be pickled, so that a
    process pool or a cluster can run it. `details` adds what plots of the run are drawn from. The process is prepared
    for drivers under the virtual clock (`harness.runtime.patches`), which changes nothing outside of runs. Raises
    `ScenarioError` for a variant that is not valid, or that would take more I/Os than `scenario.most_ios`, and
    `harness.runtime.RuntimeLimit` for a run past a limit.
    """
    patches.install(virtual=True)
    patches.seed(seed)
    plan = variant_of(scenario, variant)
    _check_effort(scenario, variant, plan)
    backends = Backends(plan, seed)
    try:
        world = _world(plan, backends, seed)
        limits = Limits(horizon_ns=plan.scenario.horizon, steps_at_one_instant=_STEPS_AT_ONE_INSTANT)
        backends.world.clock.run(lambda: _play(world, begun), limits)
        measures, failures = measure(world)
        return RunMeasures(
            scenario=scenario.name,
            variant=variant,
            seed=seed,
            measures=measures,
            failures=failures,
            digest=backends.world.recorder.digest(),
            details=details_of(world) if details else None,
        )
    finally:
        backends.world.clock.close()


_checked: tuple[Scenario, str] | None = None


def _check_effort(scenario: Scenario, variant: str, plan: Scenario) -> None:
    """Once for replications that follow each other."""
    global _checked
    if _checked is None or _checked[0] is not scenario or _checked[1] != variant:
        check_effort_of(plan, variant)
        _checked = scenario, variant


def _world(plan: Scenario, backends: Backends, seed: int) -> World:
    deployment = Deployment(plan, backends)
    recorder, stores = backends.world.recorder, backends.world.backends
    return World(
        plan,
        backends,
        deployment,
        Timetable(deployment),
        Foreground(deployment, seed),
        BackgroundIo(backends, plan.background, seed),
        ActivityMeter(recorder, stores),
        SpaceMeter(recorder, backends.fabric, stores, deployment.catalog),
    )


def _play(world: World, begun: Begun) -> None:
    world.deployment.start_taskflow()
    world.deployment.make_volumes()
    world.timetable.prepare()  # before hosts attach: no writes have to be held for snapshots that are just there
    world.deployment.attach_volumes()
    zero_ns = world.zero_ns = world.deployment.runtime.now()
    clock = world.backends.world.clock
    begun(lambda: clock.now() - zero_ns)
    world.backends.fabric.forget()
    world.deployment.recorder.emit("scenario.begins")
    for name, fault in world.scenario.fault.items():
        _arm(world, name, fault)
    streams = Streams(world.backends, world.scenario.stream)
    world.foreground.start()
    world.background.start()
    world.timetable.on_turn = world.background.turn
    share = ForegroundShare(world.deployment, world.backends, world.foreground, world.background)
    world.timetable.run()
    if world.scenario.scenario.settle:
        world.deployment.runtime.sleep(world.scenario.scenario.settle)
    world.end_ns = world.deployment.runtime.now()
    world.deployment.recorder.emit("scenario.ends")
    world.background.stop()
    world.foreground.stop()
    share.stop()
    streams.stop()


def _arm(world: World, name: str, plan: FaultTable) -> None:
    """Let a fault happen at its instant, counted from the scenario's beginning, or at its event."""
    recorder, clock = world.deployment.recorder, world.backends.world.clock
    if plan.kind != RESTART:
        fault = Fault(
            plan.kind,
            on=plan.on,
            nth=plan.nth,
            backend=plan.backend,
            caller=plan.caller,
            volume=plan.volume,
            verb=plan.verb,
            fraction=plan.fraction,
            for_ns=plan.lasts,
            at_ns=None if plan.at is None else world.zero_ns + plan.at,
        )
        try:
            world.backends.bed_of(plan.backend, plan.volume, plan.kind).inject(fault)
        except ValueError as error:
            raise ScenarioError(world.scenario.name, [f"fault.{name}: {error}"]) from None
        return
    if plan.at is not None:
        clock.env.alarm(plan.at, lambda: world.timetable.restart(plan))
        return
    seen = 0

    def look(event: Event) -> None:
        nonlocal seen
        if event.kind == plan.on:
            seen += 1
            if seen == plan.nth:  # not inside the code that emitted it
                clock.env.alarm(0, lambda: world.timetable.restart(plan))

    recorder.listen(look)
