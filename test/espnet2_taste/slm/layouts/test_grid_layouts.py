"""Properties that every sequence layout has; a new layout is one row of ``LAYOUTS``.

``keep`` says, by the obvious loop, what of an utterance a layout keeps.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.slm.layouts.abs_layout import HOLE, run_grammar
from espnet2_taste.slm.layouts.expressive import ExpressiveLayout
from espnet2_taste.slm.layouts.frame_aligned import FrameAlignedLayout
from espnet2_taste.slm.layouts.interleave import InterleaveLayout
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.spans import SpanOptions, draw_spans
from espnet2_taste.slm.layouts.streams import IdSet, Inventory, TextVocabulary
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout, TextLayout
from espnet2_taste.slm.layouts.unit import UnitLayout
from espnet2_taste.slm.layouts.utterance import Utterance, deduplicate, run_lengths

STARTS, INSIDE, END = range(2, 8), range(8, 12), 1
TEXT = TextVocabulary(
    starts=np.array([False, False] + [True] * 6 + [False] * 4),
    special=np.array([True, True] + [False] * 10),
    end_id=END,
)


@st.composite
def utterances(draw, books=1):
    """Words with times (often colliding, sometimes past the end), units, the rest."""
    word = st.tuples(
        st.sampled_from(STARTS), st.lists(st.sampled_from(INSIDE), max_size=3)
    )
    words = tuple(
        (s, *rest) for s, rest in draw(st.lists(word, min_size=1, max_size=6))
    )
    unit = st.tuples(*[st.integers(0, 4)] * books)
    units = tuple(draw(st.lists(unit, min_size=1, max_size=30)))
    moment = st.integers(0, 44 * len(units)).map(lambda millis: millis / 1000)
    count = 2 * len(words)
    cuts = sorted(draw(st.lists(moment, min_size=count, max_size=count)))
    token = st.integers(0, 3)
    return Utterance(
        words=words,
        units=units,
        word_times=tuple(zip(cuts[::2], cuts[1::2])),
        pitch=tuple(draw(token) for _ in range(-(-len(units) // 2))),
        style=tuple(draw(token) for _ in range(-(-len(units) // 25))),
    )


def runs(units):
    return tuple(key for key, _ in groupby(units))


def keep_units(utterance, grid):
    return Utterance(units=utterance.units)


def keep_runs(utterance, grid):
    return Utterance(units=runs(utterance.units))


def keep_text(utterance, grid):
    return Utterance(words=utterance.words)


def keep_text_and_runs(utterance, grid):
    return Utterance(words=utterance.words, units=runs(utterance.units))


def keep_both(utterance, grid):
    return Utterance(words=utterance.words, units=utterance.units)


def keep_frames(utterance, grid):
    """A word at its frame, at least in row 1, later where the one before is not out."""
    row, begins = 0, []
    for word, (start, _) in zip(utterance.words, utterance.word_times):
        frame = min(round(start * 25), len(utterance.units) - 1)
        while row < frame - 1:
            row += 1
        begins.append(row + 1)
        row += 1 + len(word)
    times = [begin / 25 for begin in [*begins, len(grid.ids)]]
    both = keep_both(utterance, grid)
    return Utterance(both.words, both.units, word_times=tuple(zip(times, times[1:])))


@dataclass(frozen=True)
class Row:
    """One layout of the comparison.

    Attributes:
        build: Inventory -> layout.
        keep: What it keeps of an utterance read as it is scored.
        books: Codebooks of a unit.
    """

    build: Callable[[Inventory], Any]
    keep: Callable
    books: int = 1


def mini_omni(inventory):
    return ParallelLayout(inventory, 1, 1, pad_weight=1.0, pad_with_end=False)


def plain_units(inventory):
    return UnitLayout(inventory, deduplicate=False)


LAYOUTS = {
    "gslm, twist": Row(UnitLayout, keep_runs),
    "units as they are": Row(plain_units, keep_units),
    "s3_parallel": Row(ParallelLayout, keep_both),
    "s3_parallel, 2 codebooks": Row(ParallelLayout, keep_both, 2),
    "mini_omni": Row(mini_omni, keep_both),
    "mini_omni, 3 codebooks": Row(mini_omni, keep_both, 3),
    "moshi": Row(FrameAlignedLayout, keep_frames),
    "moshi, audio later": Row(lambda i: FrameAlignedLayout(i, 3), keep_frames),
    "moshi, 3 codebooks": Row(lambda i: FrameAlignedLayout(i, 1, 2), keep_frames, 3),
    "spiritlm": Row(InterleaveLayout, keep_runs),
    "spiritlm_expr": Row(ExpressiveLayout, None),
    "cascade": Row(TextLayout, keep_text),
    "llama_omni": Row(TextCtcLayout, keep_text_and_runs),
}
every_layout = pytest.mark.parametrize("name", LAYOUTS)


def build(name):
    row = LAYOUTS[name]
    inventory = Inventory(TEXT, 5, row.books, 4, 4)
    return row.build(inventory)


def drawn(data, name):
    return data.draw(utterances(LAYOUTS[name].books))


@every_layout
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_decoding_recovers_what_the_layout_keeps(name, data):
    layout, utterance = build(name), drawn(data, name)
    grid = layout.encode(utterance)
    assert grid.ids.shape == grid.weights.shape == grid.padding.shape
    keep = LAYOUTS[name].keep
    if keep:
        assert layout.decode(grid.ids, grid.tail) == keep(utterance, grid)


@every_layout
@given(data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_grammar_accepts_every_grid_and_is_final_only_at_its_end(name, data, seed):
    layout, utterance = build(name), drawn(data, name)
    for rng in (None, np.random.default_rng(seed)):
        ids = layout.encode(utterance, rng).ids
        state = layout.start()
        for row in ids.tolist():
            assert not layout.final(state)
            for index, stream in enumerate(layout.streams):
                assert stream.has(layout.allowed(state, row[:index]), row[index])
            state = layout.advance(state, row)
        assert layout.final(state)
        assert run_grammar(layout, ids) == state


def write_row(layout, state, forced, rng):
    """One row: known cells as they are, the others drawn from what is allowed."""
    row = []
    for stream, known in zip(layout.streams, forced):
        allowed = layout.allowed(state, row)
        if known != HOLE:
            assert stream.has(allowed, known), (stream.name, row, known)
            row.append(known)
            continue
        mask = stream.mask(allowed)
        assert mask.any()
        assert [i for i in range(stream.size) if stream.has(allowed, i)] == list(
            np.flatnonzero(mask)
        )
        row.append(int(rng.choice(np.flatnonzero(mask))))
    return row


def sample(layout, prompt, rng, limit):
    """Free sampling after a prompt: the rows, and whether they are complete."""
    rows, state, resumed = [], layout.start(), False
    free = [HOLE] * len(layout.streams)
    while not layout.final(state) and len(rows) < limit:
        forced = prompt[len(rows)].tolist() if len(rows) < len(prompt) else free
        if forced[0] == HOLE and not resumed and rows:
            state, resumed = layout.resume(state), True
        rows.append(write_row(layout, state, forced, rng))
        state = layout.advance(state, rows[-1])
    return np.array(rows).reshape(-1, len(layout.streams)), layout.final(state)


def assert_well_formed(layout, ids):
    said = layout.decode(ids)
    for word in said.words:
        assert word[0] in STARTS and all(token in INSIDE for token in word[1:])
    for unit in said.units:
        assert len(unit) == layout.inventory.codebooks
        assert all(0 <= cell < 5 for cell in unit)
    assert all(0 <= token < 4 for token in said.pitch + said.style)
    return said


@every_layout
@given(seed=st.integers(0, 10**6), limit=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_free_sampling_decodes_to_something_well_formed(name, seed, limit):
    layout = build(name)
    ids, ended = sample(layout, [], np.random.default_rng(seed), limit)
    said = assert_well_formed(layout, ids)
    if ended:
        assert said.words or said.units


@every_layout
@given(data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_prompts_are_forced_and_then_continued(name, data, seed):
    layout, utterance = build(name), drawn(data, name)
    count = data.draw(st.integers(1, len(utterance.words)))
    part = utterance.first(count)
    prompt = layout.prompt(part)
    limit = len(prompt) + 30
    ids, _ = sample(layout, prompt, np.random.default_rng(seed), limit)
    known = prompt != HOLE
    assert np.array_equal(ids[: len(prompt)][known], prompt[known])
    holes = np.diff(known.astype(int), axis=0)
    assert (holes <= 0).all(), "a stream that has come to its end stays unknown"
    said = assert_well_formed(layout, ids)
    if said.words and name != "spiritlm" and name != "spiritlm_expr":
        assert said.words[:count] == part.words


@every_layout
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_weights_and_padding_speak_of_the_same_cells(name, data):
    layout = build(name)
    grid = layout.encode(drawn(data, name))
    assert (grid.weights[~grid.padding] > 0).all()
    for index, stream in enumerate(layout.streams):
        assert grid.ids[:, index].max() < stream.size and grid.ids.min() >= 0


@given(utterance=utterances(), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_spans_keep_each_word_in_its_modality(utterance, seed):
    """Against a loop over words: text of text words, runs of units of speech words."""
    layout = build("spiritlm")
    rng = np.random.default_rng(seed)
    speech = draw_spans(len(utterance.words), layout.options, rng)
    ids = layout.encode(utterance, np.random.default_rng(seed)).ids
    frames = utterance.word_frames()
    units, run = [], []
    for word, spoken in enumerate(speech):
        if spoken:
            run += utterance.units[frames[word] : frames[word + 1]]
        else:
            units, run = units + list(runs(run)), []
    units += list(runs(run))
    words = [w for w, spoken in zip(utterance.words, speech) if not spoken]
    said = layout.decode(ids)
    assert list(said.words) == words and list(said.units) == units
    tags = [i for i in ids[:, 0] if i in layout.tags]
    assert all(a != b for a, b in zip(tags, tags[1:]))


@given(utterance=utterances())
@settings(max_examples=25, deadline=None)
def test_expression_is_merged_by_time(utterance):
    layout = build("spiritlm_expr")
    said = layout.decode(layout.encode(utterance).ids)
    assert said.units == runs(utterance.units)
    assert said.pitch == runs(utterance.pitch) and said.style == utterance.style
    kinds = [
        next(k for k in ("style", "unit", "pitch") if layout.stream.is_kind(k, i))
        for i in layout.encode(utterance).ids[1:-1, 0].tolist()
    ]
    assert kinds[:3] == ["style", "unit", "pitch"]


def test_a_padded_text_counts_only_where_the_design_says():
    utterance = Utterance(((2,), (3,)), ((1,), (1,), (2,), (4,), (0,)))
    grid = build("s3_parallel").encode(utterance)
    assert grid.ids[:, 0].tolist() == [2, 3, END, END, END, END]
    assert grid.weights[:, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert grid.weights[:, 1].tolist() == [1] * 6
    omni = build("mini_omni").encode(utterance)
    assert omni.ids[:, 0].tolist() == [2, 3, END, 12, 12, 12, 12]
    assert omni.ids[:, 1].tolist() == [6, 1, 1, 2, 4, 0, 5]
    assert (omni.weights == 1).all() and omni.padding.sum() == 5


def test_text_that_outlasts_its_speech_is_kept():
    """Mini-Omni's own rule cuts it."""
    utterance = Utterance(((2, 8, 8), (3,)), ((1,),))
    for name in ("s3_parallel", "mini_omni"):
        layout = build(name)
        grid = layout.encode(utterance)
        assert layout.decode(grid.ids).words == utterance.words and len(grid.ids) == 5


def test_moshi_marks_each_word_and_waits_for_its_row():
    times = ((0.0, 0.1), (0.12, 0.2), (0.32, 0.4))
    utterance = Utterance(((2, 8), (3,), (4,)), ((1,),) * 10, word_times=times)
    grid = build("moshi").encode(utterance)
    pad, mark = 12, 13
    expected = [mark, 2, 8, mark, 3, pad, pad, mark, 4, pad, pad]
    assert grid.ids[:, 0].tolist() == expected
    assert grid.weights[:, 0].tolist() == [0.5 if i > 11 else 1.0 for i in expected]


def test_runs_of_units_come_apart_and_together():
    units = (3, 3, 1, 3, 3, 3)
    assert deduplicate(units) == (3, 1, 3) and run_lengths(units) == (2, 1, 3)


def test_banning_leaves_something():
    ids = IdSet(frozenset(("unit", "text_tag")))
    assert ids.banning(frozenset(("text_tag",))).kinds == {"unit"}
    assert ids.banning(ids.kinds) == ids


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda i: UnitLayout(Inventory(TEXT, 5, 2)), "units of 1 codebook"),
        (lambda i: ParallelLayout(i, delay=-1), "delays must be >= 0"),
        (lambda i: FrameAlignedLayout(i, delay=-1), "delays must be >= 0"),
        (lambda i: ExpressiveLayout(i), "needs pitch and style"),
        (lambda i: SpanOptions(0.9, 0.9), "a sum of at most 1"),
        (lambda i: SpanOptions(speech_share=2), "expected speech_share <= 1"),
    ],
)
def test_options_that_cannot_be_met_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(Inventory(TEXT, 5))


def test_missing_data_are_named():
    spoken = Utterance(((2,), (3,)), ((1,), (2,)))
    for name in ("moshi", "spiritlm"):
        with pytest.raises(ValueError, match="expected the times of 2 words, found 0"):
            build(name).encode(spoken)
    timed = Utterance(((2,),), ((1,),), word_times=((0.0, 0.04),))
    with pytest.raises(ValueError, match="expected pitch and style tokens, found 0"):
        build("spiritlm_expr").encode(timed)
    with pytest.raises(ValueError, match="prompt of 3 words"):
        timed.first(3)
    with pytest.raises(ValueError, match="row 0, stream 'text': id 12"):
        run_grammar(build("mini_omni"), np.array([[12, 6]]))
