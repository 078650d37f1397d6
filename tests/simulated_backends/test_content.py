"""Shared stamps against plain dictionaries."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stamps import FOREIGN, block_bytes
from harness.storage import BLOCK
from simulated_backends.content import Content, Crawl, runs, stamps_in, stored_bytes

BLOCKS = 24
DEEDS = ("write", "write", "write", "zero", "write all", "freeze", "freeze", "drop", "look", "look", "look all")


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32), st.integers(0, 150), st.integers(2, BLOCKS), st.integers(2, 8))
def test_content_is_a_dictionary_that_can_be_frozen(seed: int, steps: int, blocks: int, contents_at_most: int) -> None:
    """However often contents are shared, written and dropped, each shows what a dictionary of its own would show."""
    draw = random.Random(seed)
    contents = [Content()]
    models: list[dict[int, int]] = [{}]
    for stamp in range(1, steps + 1):
        chosen, block = draw.randrange(len(contents)), draw.randrange(blocks)
        content, model = contents[chosen], models[chosen]
        match draw.choice(DEEDS):
            case "freeze" if len(contents) < contents_at_most:
                contents.append(content.freeze())
                models.append(dict(model))
            case "drop" if len(contents) > 1:
                del contents[chosen], models[chosen], content
            case "look":
                assert content.stamp(block) == model.get(block, 0)
            case "look all":
                _compare(content, model, draw.randrange(blocks), blocks)
            case "write all":
                some = range(block, min(block + 3, blocks))
                content.write_all(some, [stamp] * len(some))
                model.update(dict.fromkeys(some, stamp))
            case "zero":
                content.write(block, 0)
                model.pop(block, None)
            case _:
                content.write(block, stamp)
                model[block] = stamp
    for content, model in zip(contents, models, strict=True):
        _compare(content, model, 0, blocks)


def test_many_look_ups_change_nothing_that_old_copies_show() -> None:
    """Copies show what they showed at first, however often they are read, and whoever was read before."""
    for read_first in range(12):
        content, copies, models = Content(), [], []
        model: dict[int, int] = {}
        for stamp in range(1, 49):
            content.write(stamp * 5 % 7, stamp)
            model[stamp * 5 % 7] = stamp
            if stamp % 4 == 0:
                copies.append(content.freeze())
                models.append(dict(model))
        for _ in range(50):
            for block in range(8):
                assert copies[read_first].stamp(block) == models[read_first].get(block, 0)
        content.write_all(range(8), [99] * 8)
        for copy, expected in zip(copies, models, strict=True):
            _compare(copy, expected, 0, 8)


def _compare(content: Content, model: dict[int, int], first: int, end: int) -> None:
    assert content.between(first, end) == {b: s for b, s in model.items() if first <= b < end}
    assert [content.stamp(b) for b in range(end)] == [model.get(b, 0) for b in range(end)]
    assert content.image() == model


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
