"""Who compresses a backup: specification section 5."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compression import ALIASES, TECHNIQUES, Decision, Limits, canonical, negotiate
from harness.testbed import CodecFigure

FIGURES = {"zlib": CodecFigure(throughput=50e6, ratio=3.0), "zstd": CodecFigure(throughput=400e6, ratio=2.5)}


def decided(decision: Decision) -> tuple[str, str | None, str | None]:
    """The decision without its reason."""
    return decision.where, decision.technique, decision.taskflow_technique


@pytest.mark.parametrize(
    ("acceptable", "published", "expected"),
    [
        (["zstd", "zlib"], ["zlib", "zstd"], ("driver", "zstd", None)),  # the caller's order counts
        (["bz2", "zlib"], ["zlib"], ("driver", "zlib", None)),
        (["GZIP"], ["Zlib"], ("driver", "zlib", None)),  # aliases and case
        (["bz2"], ["zlib"], ("taskflow", "none", "bz2")),
        (["zlib"], [], ("taskflow", "none", "zlib")),  # C-7
        (["none", "zlib"], ["off", "zlib"], ("driver", "none", None)),  # C-3
        (["none"], ["zlib"], ("taskflow", "none", "none")),
        (["lz4", "zlib"], ["lz4"], ("taskflow", "none", "zlib")),  # unknown ones never
    ],
)
def test_first_acceptable_published_technique_wins(
    acceptable: list[str], published: list[str], expected: tuple[str, str | None, str | None]
) -> None:
    """The driver compresses with the first acceptable technique that it publishes, else the taskflow does."""
    assert decided(negotiate(acceptable, published, {})) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(least_ratio=2.8), "zlib"),
        (Limits(least_throughput=100e6), "zstd"),
        (Limits(), "zstd"),
        (Limits(least_ratio=2.5), "zstd"),
    ],
)
def test_limits_are_judged_by_the_figures(limits: Limits, expected: str) -> None:
    """A technique whose figure misses a limit is passed over for the next acceptable one."""
    assert negotiate(["zstd", "zlib"], ["zstd", "zlib"], FIGURES, limits).technique == expected


def test_no_figure_does_not_disqualify() -> None:
    """A technique of which the profile says nothing is taken at its word, and the reason says so."""
    decision = negotiate(["bz2"], ["bz2"], FIGURES, Limits(least_ratio=99, least_throughput=1e12))
    assert decision.where == "driver"
    assert "no figure" in decision.reason


def test_unsatisfied_limits_leave_it_to_the_taskflow() -> None:
    """Where no technique on offer satisfies, the driver sends plain data, and the reason gives the figure."""
    decision = negotiate(["zlib", "bz2"], ["zlib"], FIGURES, Limits(least_throughput=100e6))
    assert decided(decision) == ("taskflow", "none", "zlib")
    assert "5e+07 bytes a second is below 1e+08" in decision.reason


def test_without_the_hook_the_taskflow_reads_the_volume() -> None:
    """A driver without backup_volume is not called at all."""
    decision = negotiate(["zlib"], ["zlib"], FIGURES, None, has_hook=False)
    assert decided(decision) == ("taskflow", None, "zlib")
    assert "backup_volume" in decision.reason


@pytest.mark.parametrize("acceptable", [[], ["lz4"], "zlib"])
def test_nothing_usable_is_an_error_of_the_caller(acceptable: list[str]) -> None:
    """An empty list, unknown techniques only, or a bare string can't be decided upon."""
    with pytest.raises(ValueError, match="technique"):
        negotiate(acceptable, ["zlib"], {})


names = st.lists(st.sampled_from([*TECHNIQUES, *ALIASES, "lz4", "LZO"]), max_size=5)


@given(names, names, st.booleans())
def test_laws(acceptable: list[str], published: list[str], has_hook: bool) -> None:
    """Data is compressed by exactly one of the two, with an acceptable technique, and always with a reason."""
    if not any(map(canonical, acceptable)):
        return
    decision = negotiate(acceptable, published, FIGURES, None, has_hook)
    used = decision.technique if decision.where == "driver" else decision.taskflow_technique
    assert used in {canonical(name) for name in acceptable} - {None}
    assert decision.reason
    if decision.where == "driver":
        assert has_hook
        assert used in {canonical(name) for name in published}
        assert decision.taskflow_technique is None
    else:
        assert decision.technique == ("none" if has_hook else None)


@pytest.mark.parametrize("acceptable", ["zlib", "", []])
def test_what_is_acceptable_is_a_list(acceptable: Sequence[str]) -> None:
    """A bare string, though it is a sequence, and an empty list are refused for what they are."""
    with pytest.raises(ValueError, match="must be a list that is not empty"):
        negotiate(acceptable, ["zlib"], {})


def test_the_reason_names_what_the_taskflow_compresses_with() -> None:
    """Where the taskflow compresses, the reason names the first acceptable technique, which it uses."""
    for published, has_hook in ((["zlib"], False), (["zstd"], True)):
        decision = negotiate(["bz2", "zlib"], published, {}, has_hook=has_hook)
        assert decision.reason.endswith("compresses with bz2")
        assert decision.taskflow_technique == "bz2"


def test_a_figure_on_the_limit_meets_it() -> None:
    """A technique whose figures are just the limits is not objected to; one below either of them is."""
    limits = Limits(least_ratio=3.0, least_throughput=50e6)
    assert limits.objection(FIGURES["zlib"]) is None
    assert "ratio" in str(limits.objection(CodecFigure(throughput=50e6, ratio=2.9)))
    assert "throughput" in str(limits.objection(CodecFigure(throughput=49e6, ratio=3.0)))
