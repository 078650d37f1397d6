"""Scenario files: what is read, and what somebody is told whose file is not in order."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scenarios.reading import ScenarioError, library, load_scenario, parse_scenario, scenario_data
from scenarios.schema import PATH, schema_text
from scenarios.vary import variant_of, with_value, with_values

GOOD = """
[scenario]
name = "sample"
question = "What does it cost?"

[backend.left]
family = "alpha"

[backend.right]
family = "alpha"

[host.compute]

[volume.data]
backend = "left"
size = "4 GiB"
host = "compute"

[workload.oltp]
volume = "data"

[operation.move]
do = "migrate_volume"
volume = "data"
to = "right"

[fault.cut]
kind = "connection.break"
caller = "node"
at = "1 s"

[variant.fast]
set = { "link.bandwidth" = "25 Gb/s" }

[variant.whole]
unset = ["fault.cut"]
"""

BACKGROUND = "[background.others]\n"
THERE = "host = 'compute'\nbackend = 'left'\n"


def problems(text: str, folder: Path) -> list[str]:
    """What is said of a file."""
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    assert str(caught.value) == "\n".join(f"{file}: {problem}" for problem in caught.value.problems)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            'size = "4 GiB"',
            'size = "4 GX"',
            ["volume.data.size is '4 GX'", "'GX' is no unit of size", "such as '100 GiB'"],
        ),
        ('size = "4 GiB"', "size = 4", ["volume.data.size is 4", "such as '100 GiB'"]),
        ('size = "4 GiB"', 'size = "4"', ["volume.data.size is '4'", "no unit"]),
        ('size = "4 GiB"', 'size = "100 MB"', ["volume.data.size is 100000000 bytes", "whole GiB"]),
        ('size = "4 GiB"', "", ["volume.data.size is missing", "such as '100 GiB'"]),
        ('size = "4 GiB"', 'siez = "4 GiB"', ["volume.data.siez: there is no such key", "did you mean 'size'?"]),
        ('backend = "left"', 'backend = "lefd"', ["volume.data.backend is 'lefd'", "did you mean 'left'?"]),
        (
            'do = "migrate_volume"',
            'do = "migrate"',
            ["operation.move.do is 'migrate'", "did you mean 'migrate_volume'?"],
        ),
        ('to = "right"', "", ["operation.move.to is missing"]),
        ('to = "right"', 'to = "left"', ["operation.move.to is 'left'", "already"]),
        ("[workload.oltp]", "[workload]", ["workload.volume is 'data'", "write [workload.NAME]"]),
        ('host = "compute"', "", ["workload.oltp.volume is 'data'", "set volume.data.host"]),
        (
            'kind = "connection.break"',
            'kind = "connection.brake"',
            ["fault.cut.kind", "did you mean 'connection.break'?"],
        ),
        (
            'to = "right"',
            'to = "right"\nask_again = "1 s"',
            ["operation.move.ask_again is about Cinder as it is today", "set operation.move.practice = 'cinder'"],
        ),
        (
            'do = "migrate_volume"\n',
            'do = "retype"\npractice = "cinder"\n',
            ["operation.move.practice is 'cinder'", "played so are backup_volume"],
        ),
        ('at = "1 s"', "", ["fault.cut: it needs either `at`"]),
        (
            '[backend.right]\nfamily = "alpha"',
            '[backend.right]\nfamily = "alpha"\nprofile = "nfs-sim"',
            ["one profile"],
        ),
        (
            '[backend.right]\nfamily = "alpha"',
            '[backend.right]\nfamily = "alpha"\nfigures = { snapshot_kind = "none" }',
            ["backend.right.figures", "copy-on-write"],
        ),
        ("question =", "questoin =", ["scenario.questoin", "did you mean 'question'?", "scenario.question is missing"]),
        ("[scenario]", "[scenario]\nmeasures = ['completions']", ["'completions'", "did you mean 'completion'?"]),
        ("[scenario]", "[scenario", ["it is not TOML"]),
        (
            '[backend.left]\nfamily = "alpha"\n\n[backend.right]\nfamily = "alpha"',
            '[line.wan]\nbandwidth = "1 Gb/s"',
            ["backend is missing; write it as a table, [backend.NAME]", "line.wan.between is missing; expected a list"],
        ),
        ('size = "4 GiB"', 'size = "2 TiB"', ["backend.left.pool is 1 TiB", "2 TiB together"]),
        (
            "[workload.oltp]",
            "[workload.second]\nvolume = 'data'\n[workload.oltp]",
            ["workload.oltp.volume is 'data', as that of workload.second", "one workload"],
        ),
        (
            "[workload.oltp]",
            "[workload.oltp]\nblock = '8 KiB'\narea = '4 KiB'",
            ["workload.oltp.area is 4 KiB", "smaller than one I/O"],
        ),
        (
            "[workload.oltp]",
            f"{BACKGROUND}host = 'compoot'\nbackend = 'lefd'\nrate = '9 /s'\nsize = '4 KiB'\n[workload.oltp]",
            [
                "background.others.size: there is no such key",
                "background.others.host is 'compoot'; there is no host of that name: did you mean 'compute'?",
                "background.others.backend is 'lefd'; there is no backend of that name: did you mean 'left'?",
            ],
        ),
        (
            "[workload.oltp]",
            f"{BACKGROUND}{THERE}direction = 'both'\n[workload.oltp]",
            [
                "background.others.rate is missing; expected a rate, such as '2000 /s'",
                "background.others.direction is 'both'; expected one of read, write",
            ],
        ),
        (
            "[workload.oltp]",
            f"{BACKGROUND}{THERE}rate = '9 /s'\nblock = '1 kB'\n[workload.oltp]",
            ["background.others.block is 1000 bytes", "a multiple of 4096"],
        ),
        (
            "[workload.oltp]",
            f"{BACKGROUND}{THERE}rate = '0.5 /h'\n[workload.oltp]",
            ["background.others.rate is", "from 1 /h to 1,000,000 /s"],
        ),
        (
            "[workload.oltp]",
            f"{BACKGROUND}{THERE}rate = '7000 /s'\n[workload.oltp]",
            ["background.others.rate is 7000.0 /s", "6,250 /s of 4 KiB are the most", "lower the rate"],
        ),
        (
            "[host.compute]",
            f"[host.compute]\nport = '1 Gb/s'\n{BACKGROUND}{THERE}rate = '2000 /s'\nblock = '64 KiB'",
            ["background.others.rate is 2000.0 /s", "1,907.35 /s of 64 KiB are the most"],
        ),
        (
            "[host.compute]",
            f"[host.compute]\n[background.rate]\n{THERE}rate = '9 /s'",
            ["background.rate: 'rate' is a key of such tables; choose another name"],
        ),
        ("[host.compute]", "[host.compute]\n[driver.mine]\ntarget = 'referenze'", ["did you mean 'reference'?"]),
    ],
)
def test_an_error_names_key_path_value_and_remedy(old: str, new: str, parts: list[str], tmp_path: Path) -> None:
    """What is wrong is told by the file's name, the key path, the value, and what was expected or is near."""
    assert old in GOOD
    told = "\n".join(problems(GOOD.replace(old, new, 1), tmp_path))
    for part in parts:
        assert part in told


def test_all_errors_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Errors of units, of unknown keys and of names that nobody has stand in one message, each once."""
    text = GOOD.replace("4 GiB", "4 GX").replace('to = "right"', 'to = "write"').replace("[host.compute]", "[hosts.c]")
    found = problems(text, tmp_path)
    for place in ("volume.data.size", "operation.move.to", "hosts", "volume.data.host"):
        assert sum(problem.startswith(place) for problem in found) == 1, found


def test_a_missing_file_names_the_library(tmp_path: Path) -> None:
    """Who names neither a file nor a scenario of the library is told what is near, and a directory is no file."""
    with pytest.raises(ScenarioError, match="did you mean 'native-or-fallback'"):
        load_scenario("native-or-fallbak")
    with pytest.raises(ScenarioError, match="not a regular file"):
        load_scenario(tmp_path)


def test_publications_and_logs_are_found_beside_the_file(tmp_path: Path) -> None:
    """A publication file is read in, relative to the scenario's, and one that is not there is told with its path."""
    (tmp_path / "acme.toml").write_text("[backend_activity_attributes]\nsnapshot_replication = true\n")
    text = GOOD + '[driver.reference]\npublication_file = "acme.toml"\n'
    (tmp_path / "mine.toml").write_text(text)
    publication = load_scenario(tmp_path / "mine.toml").driver["reference"].publication
    assert publication is not None
    assert publication.published() == {"snapshot_replication": True}
    told = problems(text.replace("acme.toml", "acne.toml"), tmp_path)
    assert told[0].startswith("driver.reference.publication_file is 'acne.toml'")
    told = problems(GOOD.replace("[workload.oltp]", "[workload.oltp]\nreplay = 'no.log'"), tmp_path)
    assert told == ["workload.oltp.replay is 'no.log': there is no such file; give the path of a log of fio"]


def test_a_scenario_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """The data of a scenario, quantities with units, is read back to an equal one, throughout the library."""
    for name in library():
        scenario = load_scenario(name)
        data = json.loads(json.dumps(scenario_data(scenario)))
        assert parse_scenario(data, name) == scenario


def test_variants_change_what_they_say(tmp_path: Path) -> None:
    """A variant sets and takes away by key path; its result is what a file with those values would be."""
    (tmp_path / "mine.toml").write_text(GOOD)
    scenario = load_scenario(tmp_path / "mine.toml")
    assert scenario.variants == ("fast", "whole")
    assert variant_of(scenario, "fast").link.bandwidth == 25 * 125_000_000
    assert variant_of(scenario, "whole").fault == {}
    with pytest.raises(ScenarioError, match="did you mean 'fast'"):
        variant_of(scenario, "fest")
    text = GOOD.replace('"link.bandwidth" = "25 Gb/s"', '"link.bandwith" = "25 Gb/s"')
    assert problems(text, tmp_path) == ["variant.fast: link.bandwith: there is no such key; did you mean 'bandwidth'?"]


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("link.bandwidth", "25Gb", lambda s: s.link.bandwidth == 3_125_000_000),
        ("volume.data.size", "1 TiB", lambda s: s.volume["data"].size == 1 << 40),
        ("volume.size", "2GiB", lambda s: s.volume["data"].size == 2 << 30),
        ("backend.read", "2 GB/s", lambda s: {b.read for b in s.backend.values()} == {2 * 10**9}),
        ("operation.move.concurrency", "8", lambda s: s.operation["move"].concurrency == 8),
        ("operation.move.at", "1.5 s", lambda s: s.operation["move"].at == 1_500_000_000),
        ("driver.reference", {"publication": {"snapshot_replication": True}}, lambda s: "reference" in s.driver),
        ("fault.cut", None, lambda s: s.fault == {}),
    ],
)
def test_values_are_changed_by_key_path(path: str, value: Any, found: Any, tmp_path: Path) -> None:
    """A value given as a file or a command line would give it replaces the one at its path; nothing else changes."""
    (tmp_path / "mine.toml").write_text(GOOD)
    scenario = load_scenario(tmp_path / "mine.toml")
    changed = with_value(scenario, path, value)
    assert found(changed)
    assert not found(scenario)
    kept = set(scenario_data(scenario)) - {path.partition(".")[0]}
    assert {key: scenario_data(changed)[key] for key in kept} == {key: scenario_data(scenario)[key] for key in kept}


def test_several_texts_of_a_command_line_are_changed_at_once() -> None:
    """Texts and numbers may be given together, in whatever order."""
    scenario = parse_scenario(tomllib.loads(GOOD), "mine")
    values = {"volume.size": "2GiB", "operation.move.concurrency": "8", "volume.count": "3"}
    for given in (values, dict(reversed(values.items()))):
        changed = with_values(scenario, given)
        assert changed.volume["data"].size == 2 << 30
        assert (changed.volume["data"].count, changed.operation["move"].concurrency) == (3, 8)
    large = with_values(scenario, {"volume.count": "1000", "backend.pool": "10 TiB"})  # valid only together
    assert large.volume["data"].count == 1000


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("link.bandwith", "1 Gb/s", "did you mean 'bandwidth'"),
        ("volume.size", "1 TX", "volume.data.size is '1 TX'"),
        ("volume.date.size", "1 TiB", "did you mean 'data'"),
        ("volumes.size", "1 TiB", "did you mean 'volume'"),
        ("stream.rate", "1 Gb/s", r"no \[stream.NAME\]"),
        ("operation.move.concurrency", "0", "greater than or equal to 1"),
        ("volume", "1 TiB", "volume is a table; name a key in it"),
    ],
)
def test_a_path_or_value_that_does_not_fit_is_told(path: str, value: str, message: str) -> None:
    """A wrong path or value is refused with the messages that a file would get."""
    scenario = parse_scenario(tomllib.loads(GOOD), "mine")
    with pytest.raises(ScenarioError, match=message):
        with_values(scenario, {path: value})


def test_the_schema_is_that_of_the_model_and_of_the_library() -> None:
    """The shipped JSON Schema is what the model makes now; the library fits it and an unknown key does not."""
    assert PATH.read_text(encoding="utf-8") == schema_text(), "run python -m scenarios.schema"
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    for path in library().values():
        validator.validate(tomllib.loads(path.read_text(encoding="utf-8")))
    data = tomllib.loads(GOOD)
    validator.validate(data)
    data["volume"]["data"]["colour"] = "red"
    assert not validator.is_valid(data)
