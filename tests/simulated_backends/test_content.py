"""Layers of stamps against plain dictionaries."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stamps import FOREIGN, block_bytes
from harness.storage import BLOCK
from simulated_backends.content import Content, Crawl, runs, stamps_in, stored_bytes

BLOCKS = 24
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 9), st.integers(0, BLOCKS - 1)),
        st.tuples(st.just("zero"), st.integers(0, 9), st.integers(0, BLOCKS - 1)),
        st.tuples(st.just("freeze"), st.integers(0, 9), st.just(0)),
    ),
    max_size=120,
)


@settings(deadline=None)
@given(STEPS, st.integers(0, BLOCKS), st.integers(0, BLOCKS))
def test_content_is_a_dictionary_that_can_be_frozen(steps: list[tuple[str, int, int]], low: int, high: int) -> None:
    """However often contents are shared and written, each shows what a dictionary of its own would show."""
    contents = [Content()]
    models: list[dict[int, int]] = [{}]
    for stamp, (what, which, block) in enumerate(steps, 1):
        chosen = which % len(contents)
        if what == "freeze":
            contents.append(contents[chosen].freeze())
            models.append(dict(models[chosen]))
        elif what == "write":
            contents[chosen].write(block, stamp)
            models[chosen][block] = stamp
        else:
            contents[chosen].write(block, 0)
            models[chosen].pop(block, None)
    for content, model in zip(contents, models, strict=True):
        assert content.image() == model
        assert content.between(low, high) == {b: s for b, s in model.items() if low <= b < high}
        assert [content.stamp(b) for b in range(BLOCKS)] == [model.get(b, 0) for b in range(BLOCKS)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, BLOCKS - 1)), max_size=80))
def test_a_crawl_sees_each_block_as_it_was_when_passed(steps: list[tuple[bool, int]]) -> None:
    """A crawling reader sees what block-by-block reading sees, with no event for a block."""
    source, position, read = Content(), 0, {}
    crawl = Crawl(lambda: position * BLOCK)
    for stamp, (is_write, block) in enumerate(steps, 1):
        if is_write:
            crawl.before_write(block, source.stamp(block))
            source.write(block, stamp)
        elif position < BLOCKS:
            read[position] = source.stamp(position)
            position += 1
    for block in range(position, BLOCKS):
        read[block] = source.stamp(block)
    assert crawl.seen(source.image()) == {block: stamp for block, stamp in read.items() if stamp}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 2**40)), max_size=5))
def test_stamps_survive_as_bytes(blocks: list[tuple[int, int]]) -> None:
    """The stamps that bytes carry are those that they were made from."""
    data = b"".join(stored_bytes(block, stamp) for block, stamp in blocks)
    assert list(stamps_in(data)) == [stamp for _, stamp in blocks]


def test_foreign_bytes_stay_foreign() -> None:
    """A block whose bytes carry no stamp is shown as foreign, and so are the bytes made from it; zeros are no stamp."""
    damaged = block_bytes(3, 7)[:-1] + b"?"
    assert list(stamps_in(damaged + bytes(BLOCK))) == [FOREIGN, 0]
    assert list(stamps_in(stored_bytes(3, FOREIGN))) == [FOREIGN]


@settings(deadline=None)
@given(st.sets(st.integers(0, 60)), st.one_of(st.none(), st.integers(1, 5)))
def test_runs_cover_the_blocks_and_no_others(blocks: set[int], longest: int | None) -> None:
    """Runs are ascending, no longer than allowed, and cover exactly the blocks."""
    found = list(runs(blocks, longest))
    assert [b for first, length in found for b in range(first, first + length)] == sorted(blocks)
    assert all(longest is None or length <= longest for _, length in found)
    if longest is None:
        assert all(a + n < b for (a, n), (b, _) in pairwise(found))
