"""Runs and a study to make pages of; the witness of the torn image tells when its writes were, as real ones do."""

from __future__ import annotations

from report_samples import MS, report
from study_samples import study
from test_report_page import HOSTILE, hostile

from harness.driver_walk import DraftedPublication, DriverWalk, Origin, WalkedDriver
from harness.results import Report
from harness.study_results import Study
from reports.site import Plot

PLOT = (
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 300"><title>Cost by size</title>'
    '<desc>The fallback costs three times as much at every size.</desc><script>alert("plot")</script>'
    '<rect width="400" height="100" fill="#0072b2"/></svg>'
)


def run() -> Report:
    """The sample run, with the wording of a clause."""
    found = report()
    for check in found.drivers[1].checks:
        for result in check.clauses:
            if result.witness:
                result.witness["shown_write"]["issued_ns"] = 700 * MS
                result.witness["missing_write"]["acknowledged_ns"] = 620 * MS
        check.durations_ns = {"create_snapshot": [9 * MS, 12 * MS, 100 * MS]} if "q_9" in check.check else {}
    texts = {"text": "What a *listed* copying method (`retype`) makes MUST be an image <b>.", "rulings": ["Why? So."]}
    found.clauses = [i.model_copy(update=texts) if i.id == "Q-9" else i for i in found.clauses]
    return found


def hostile_study() -> Study:
    """A study in which every text is hostile."""
    usual = study(HOSTILE)
    names = (HOSTILE, f"{HOSTILE} too")
    by = dict(zip(usual.variants, names, strict=True))
    rows = [r.model_copy(update={"variant": by[r.variant], "failures": (HOSTILE,)}) for r in usual.rows]
    estimates = [
        e.model_copy(update={"variant": by[e.variant], "of": HOSTILE, "unit": HOSTILE}) for e in usual.estimates
    ]
    differences = [d.model_copy(update={"variant": by[d.variant], "of": HOSTILE}) for d in usual.differences]
    return usual.model_copy(
        update={
            "question": HOSTILE, "scenario_text": HOSTILE, "variants": names, "method": HOSTILE, "notes": (HOSTILE,),
            "rows": tuple(rows), "estimates": tuple(estimates), "differences": tuple(differences),
        }
    )  # fmt: skip


def walk(
    names: tuple[str, ...] = ("acme.AcmeDriver", "acme.AcmeFibre", "base.Plain", "nas.Share", "nas.Twin", "zed.Zed"),
    text: str = "migrate_volume(self): too many positional arguments; called at cinder/volume/manager.py:2702",
) -> DriverWalk:
    """A walk over classes that have their methods from everywhere; one can't be called as the volume manager does."""
    origins = list(Origin)
    drivers = [
        WalkedDriver.model_validate(
            {
                "class": name if name == text else f"cinder.volume.drivers.{name}",
                "driver_version": text if name == text else f"1.{number}",
                "supported": number != 2,
                "methods": {"create_snapshot": origins[number], "migrate_volume": origins[-number]},
                "unbound_calls": (text,) if number == 0 else (),
                "draft": DraftedPublication(
                    publishes_itself=False,
                    backend_activity_attributes={"stateless_activities": [text] if name == text else []},
                    seen=(text,),
                    open_questions=(text,),
                ),
            }
        )
        for number, name in enumerate(names)
    ]
    return DriverWalk(cinder_version="29.0.0", drivers=tuple(drivers), broken_modules={"cinder.volume.x": text})


Results = tuple[list[Report], list[Study], dict[int, list[Plot]], list[DriverWalk]]

SITES: dict[str, Results] = {
    "usual": ([run()], [study()], {0: [Plot.of(PLOT, "plot")]}, [walk()]),
    "hostile": (
        [hostile(), hostile()],
        [hostile_study()],
        {0: [Plot.of(PLOT, HOSTILE)]},
        [walk((HOSTILE, HOSTILE), HOSTILE).model_copy(update={"cinder_version": HOSTILE})],
    ),
    "empty": ([report().model_copy(update={"drivers": [], "clauses": []})], [], {}, [walk(())]),
}
