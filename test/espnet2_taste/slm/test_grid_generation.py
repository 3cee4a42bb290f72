"""Sampling and scoring of every layout with a tiny LM, against plain loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_guidance import base_logits, slow_mix
from slow_losses import kl_to_base

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.inference.scorer import Scorer, WindowScorer
from espnet2_taste.slm import group_losses, losses
from espnet2_taste.slm.backbone import FullBackbone
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.grid_heads import DepthGridHead, LinearGridHead
from espnet2_taste.slm.layouts.abs_layout import HOLE, run_grammar
from espnet2_taste.slm.layouts.frame_aligned import FrameAlignedLayout
from espnet2_taste.slm.layouts.interleave import InterleaveLayout
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.streams import (
    END,
    PAD,
    START,
    UNIT,
    Inventory,
    TextVocabulary,
)
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout, TextLayout
from espnet2_taste.slm.layouts.unit import UnitLayout
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.losses import compact
from espnet2_taste.slm.row_embedding import GridEmbedding, SumStreams
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.scoring import text_mask, utterance_scores
from espnet2_taste.slm.tail_heads import CtcTail, NoTail
from espnet2_taste.slm.vocabulary import PieceRules, VocabularyMasks
from espnet2_taste.slm.word_parts import WordParts

INDEX = torch.arange(40)
BANNED = torch.isin(INDEX, torch.tensor([0, 1, 6, 9, 22])).numpy()
MASKS = VocabularyMasks(INDEX % 2 == 0, INDEX < 0, torch.from_numpy(BANNED))
TEXT = TextVocabulary(
    starts=np.arange(40) % 2 == 0,
    special=np.arange(40) < 2,
    end_id=1,
    rules=PieceRules(MASKS),
)
BOOKS = {"parallel": 2, "frame_aligned": 2}
LAYOUTS = {
    "unit": UnitLayout,
    "parallel": lambda i: ParallelLayout(i, 1, 1, 1.0, False),
    "frame_aligned": FrameAlignedLayout,
    "interleave": InterleaveLayout,
    "text": TextLayout,
    "text_ctc": TextCtcLayout,
}
every_layout = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture
def model_of(tiny_lm):
    def build(name, keep_base=False):
        torch.manual_seed(0)
        layout = LAYOUTS[name](Inventory(TEXT, 6, BOOKS.get(name, 1)))
        backbone = FullBackbone(tiny_lm, keep_base)
        streams, size = layout.streams, backbone.hidden_size
        embedding = GridEmbedding(streams, backbone, SumStreams(streams), 0)
        torch.nn.init.normal_(embedding.start)
        head = LinearGridHead(size, len(streams))
        if name in BOOKS:
            head = DepthGridHead(size, len(streams), 8, 1, 2)
        tail = CtcTail(size, 6, 3, 1, 2) if name == "text_ctc" else NoTail(size, 6)
        if keep_base:  # training has moved the LM away from its base
            for parameter in backbone.lm.parameters():
                parameter.data += 0.2 * torch.randn_like(parameter)
        model = SpokenLMCore(backbone, layout, embedding, head, tail, 0)
        for output in model.outputs.values():
            torch.nn.init.normal_(output.weight)
        return ESPnetSpokenLMModel(model).eval()

    return build


def spoken(name, seed, words, frames):
    """An utterance of even token ids at the beginning of words, odd ones inside."""
    rng = np.random.default_rng(seed)
    ids = [(int(rng.integers(1, 20)) * 2, int(rng.integers(1, 20)) * 2 + 1)] * words
    units = rng.integers(0, 6, (frames, BOOKS.get(name, 1))).tolist()
    starts = np.linspace(0, frames / 25, words, endpoint=False).tolist()
    times = tuple(zip(starts, [*starts[1:], frames / 25]))
    return Utterance(tuple(ids), tuple(map(tuple, units)), word_times=times)


def run(generate, grids, streams):
    """Continue grids with holes."""
    with torch.no_grad():
        rows = [generate.core.prompt(grid) for grid in grids]
    return generate(rows, streams)


def prompts_of(name, layout):
    return [
        layout.prompt(spoken(name, 0, 2, 9)),
        layout.prompt(spoken(name, 1, 4, 5)),
        layout.prompt(spoken(name, 2, 1, 14)),
    ]


SAMPLING = GenerationOptions(
    text_top_p=0.9,
    repetition_penalty=1.3,
    speech_top_p=0.9,
    speech_temperature=0.9,
    speech_top_k=5,
    speech_only=False,
)
LIMITS = [Limits(0, 3, 0.0, 0.2), Limits(2, 4, 0.28, 0.4)]


def generated(layout, prompt, rows):
    """Words and seconds in what was not given."""
    words = frames = 0
    for number, row in enumerate(rows):
        for index, stream in enumerate(layout.streams):
            if number < len(prompt) and prompt[number][index] != HOLE:
                continue
            words += bool(stream.kinds.get(START, np.zeros(99))[row[index]])
            first = UNIT in stream.kinds and index == (layout.streams[0].text_size > 0)
            only = len(layout.streams) == 1 and UNIT in stream.kinds
            frames += (first or only) and bool(stream.kinds[UNIT][row[index]])
    return words, frames / 25 + 1e-9


def choosable(layout, stream, state, row, amount, limits):
    """Ids a cell may be, by the rules one after the other."""
    (words, seconds), allowed = amount, layout.allowed(state, row)
    texts = [s.group for s in layout.streams].count("text")
    early = bool(texts) and words < limits.min_words
    if stream.group != "text":
        early = early or seconds < limits.min_seconds
        early = early and seconds < limits.max_seconds
    banned = {END} if early else set()
    if seconds >= limits.max_seconds:
        banned.add(UNIT)
    kinds = (allowed.kinds - banned) or allowed.kinds
    ids = [i for k in kinds for i in np.flatnonzero(stream.kinds[k]).tolist()]
    ids = [i for i in ids if i not in allowed.without]
    spoken = [i for i in ids if i >= stream.text_size or i == 1 or not BANNED[i]]
    return spoken or ids, allowed.kinds


def written(layout, rows):
    """Text of rows."""
    return [
        cell
        for row in rows
        for stream, cell in zip(layout.streams, row)
        if 1 < cell < stream.text_size
    ]


def guided(model, share, stream, text, logits):
    """Logits (X,) of a cell, with the base LM's share."""
    if not share or not stream.text_size:
        return logits
    base = base_logits(model.core.backbone, 0, text)
    return slow_mix(logits, base, stream.text_size, 1, share)


def slow_continuation(model, prompt, limits, streams, share=0.0):
    """Without cache and batch: the whole model again for every cell."""
    grid_lm = model.core
    layout, rows, state = grid_lm.layout, [], grid_lm.layout.start()
    count, resumed = len(layout.streams), False
    most = len(prompt) + limits.max_rows(25)
    while not layout.final(state) and len(rows) < most:
        known = (
            prompt[len(rows)].tolist() if len(rows) < len(prompt) else [HOLE] * count
        )
        if known[0] == HOLE and rows and not resumed:
            state, resumed = layout.resume(state), True
        row = []
        for index, stream in enumerate(layout.streams):
            if known[index] != HOLE:
                row.append(known[index])
                continue
            filler = [0] * (count - index)
            grid = torch.tensor([[*rows, row + filler]])
            logits = grid_lm(grid)[index][:, -1]
            text = written(layout, rows)
            logits[0] = guided(model, share, stream, text, logits[0])
            amount = generated(layout, prompt, rows)
            ids, kinds = choosable(layout, stream, state, row, amount, limits)
            others = [i for i in range(stream.size) if i not in ids]
            logits[:, others] = -torch.inf
            active = torch.tensor([True])
            if stream.group == "text":
                seen = torch.zeros(1, stream.size, dtype=torch.bool)
                used = [r[index] for r in rows if 1 < r[index] < stream.text_size]
                seen[0, used] = True
                sampler = SAMPLING.text_sampler()
                cell = int(sampler(logits, seen, streams, active))
            else:
                sampler = SAMPLING.speech_sampler()
                cell = int(sampler(logits[:, None], streams, active))
            begins = any(stream.is_kind(kind, cell) for kind in layout.word_kinds)
            if begins and amount[0] >= limits.max_words and kinds & {END, PAD}:
                kind = END if END in kinds else PAD
                cell = int(np.flatnonzero(stream.kinds[kind])[0])
            row.append(cell)
        state = layout.advance(state, row)
        rows.append(row)
    words, seconds = generated(layout, prompt, rows)
    full = words >= limits.max_words or seconds >= limits.max_seconds
    return np.array(rows), layout.final(state) and not full


@every_layout
@pytest.mark.parametrize("limits", LIMITS)
def test_batched_cached_sampling_equals_the_plain_loop(model_of, name, limits):
    model = model_of(name)
    prompts = prompts_of(name, model.core.layout)
    names = [f"utt{i}" for i in range(len(prompts))]
    generate = Generator(model.core, SAMPLING, limits)
    fast = run(generate, prompts, UniformStreams.from_ids(names, 3))
    with torch.no_grad():
        for item, prompt, utt in zip(fast, prompts, names):
            streams = UniformStreams.from_ids([utt], 3)
            ids, ended = slow_continuation(model, prompt, limits, streams)
            assert np.array_equal(item.ids, ids) and item.ended == ended
            known = prompt != HOLE
            assert np.array_equal(item.ids[: len(prompt)][known], prompt[known])


@every_layout
def test_guided_sampling_equals_the_plain_loop(model_of, name):
    model, limits = model_of(name, keep_base=True), LIMITS[1]
    prompts = prompts_of(name, model.core.layout)
    options = replace(SAMPLING, guidance=0.8)
    generate = Generator(model.core, options, limits)
    fast = run(generate, prompts, UniformStreams.from_ids(["a", "b", "c"], 3))
    with torch.no_grad():
        for item, prompt, utt in zip(fast, prompts, "abc"):
            streams = UniformStreams.from_ids([utt], 3)
            ids, ended = slow_continuation(model, prompt, limits, streams, 0.8)
            assert np.array_equal(item.ids, ids) and item.ended == ended


def test_guidance_needs_the_base(model_of):
    with pytest.raises(ValueError, match="guidance needs the base LM"):
        Generator(model_of("text").core, GenerationOptions(guidance=0.5))


@every_layout
@pytest.mark.parametrize("seed", range(3))
def test_limits_hold_for_what_was_generated(model_of, name, seed):
    layout = model_of(name).core.layout
    prompts, limits = prompts_of(name, layout), Limits(2, 4, 0.28, 0.4)
    options = GenerationOptions(text_top_p=1.0, speech_top_p=1.0)
    generate = Generator(model_of(name).core, options, limits)
    streams = UniformStreams.from_ids(["a", "b", "c"], seed)
    for item, prompt in zip(run(generate, prompts, streams), prompts):
        words, seconds = generated(layout, prompt, item.ids)
        assert words <= limits.max_words
        assert seconds <= limits.max_seconds + 1e-6
        if layout.final(run_grammar(layout, item.ids)):
            if layout.streams[0].group == "text" and seconds < limits.max_seconds:
                assert words >= limits.min_words
            if any(UNIT in stream.kinds for stream in layout.streams):
                assert seconds >= limits.min_seconds - 1e-6
        cells = [
            cell
            for number, row in enumerate(item.ids)
            for cell in row[:1]
            if number >= len(prompt) or prompt[number][0] == HOLE
        ]
        if layout.streams[0].text_size:
            text = [c for c in cells if 1 < c < 40]
            assert not BANNED[text].any()


def test_units_count_by_how_long_each_lasts(model_of):
    layout = model_of("unit").core.layout
    prompts, limits = prompts_of("unit", layout), Limits(0, 1, 2.0, 3.0)
    lasting = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    options = GenerationOptions(speech_top_p=1.0)
    generate = Generator(model_of("unit").core, options, limits, lasting)
    streams = UniformStreams.from_ids(["a", "b", "c"], 0)
    for item, prompt in zip(run(generate, prompts, streams), prompts):
        added = [cell for (cell,) in item.ids[len(prompt) :].tolist() if cell < 6]
        seconds = [sum(lasting[c] for c in added[:n]) for n in range(len(added) + 1)]
        assert seconds[-1] >= 2.0 and (len(added) < 2 or seconds[-2] < 3.0)


@every_layout
def test_sampling_without_a_prompt_follows_the_grammar(model_of, name):
    layout = model_of(name).core.layout
    empty = np.zeros((0, len(layout.streams)), dtype=np.int64)
    generate = Generator(model_of(name).core, SAMPLING, LIMITS[0])
    streams = UniformStreams.from_ids([str(i) for i in range(4)], 0)
    for item in run(generate, [empty] * 4, streams):
        run_grammar(layout, item.ids)
        layout.decode(item.ids)


def test_speech_goes_on_as_speech(model_of):
    grid_lm = model_of("interleave").core
    prompts = prompts_of("interleave", grid_lm.layout)
    generate = Generator(grid_lm, GenerationOptions(speech_top_p=1.0))
    for seed in range(3):
        streams = UniformStreams.from_ids(["a", "b", "c"], seed)
        for item in run(generate, prompts, streams):
            assert not grid_lm.layout.decode(item.ids).words


def test_text_that_wants_to_end_goes_on_for_the_fewest_words(model_of, monkeypatch):
    grid_lm = model_of("text").core
    wish = torch.nn.functional.one_hot(torch.tensor([1, 8]), 40).sum(dim=0) * 1.0
    wish[8] = 0.5  # a word of one token
    monkeypatch.setattr(grid_lm, "next_logits", lambda h, c: wish.expand(len(h), 40))
    prompts = prompts_of("text", grid_lm.layout)
    for words in (0, 3):
        likeliest = Generator(grid_lm, GenerationOptions(), Limits(words, 5))
        streams = UniformStreams.from_ids(["a", "b", "c"], 0)
        for item, prompt in zip(run(likeliest, prompts, streams), prompts):
            assert item.ended and len(item.ids) - len(prompt) == words + 1


@pytest.mark.parametrize("name", ["parallel", "frame_aligned"])
@torch.no_grad()
def test_rows_before_the_first_hole_are_read_at_once(model_of, name):
    core = model_of(name).core
    for grid in prompts_of(name, core.layout):
        prompt = core.prompt(grid)
        count = len(prompt.rows)
        assert [*prompt.rows, *prompt.known] == grid.tolist()
        assert (grid[:count] != HOLE).all() and (grid[count:][:1] == HOLE).any()
        wanted = core.rows(torch.from_numpy(grid[:count])[None])[0]
        torch.testing.assert_close(prompt.inputs, wanted)
        text = [cell for cell in grid[:count, 0].tolist() if 1 < cell < 40]
        assert prompt.text.tolist() == text


def batch_of(layout, utterances):
    grids = [layout.encode(u) for u in utterances]
    pad = torch.nn.utils.rnn.pad_sequence

    def padded(arrays, value):
        return pad([torch.as_tensor(a) for a in arrays], True, value)

    tails = [torch.tensor(g.tail, dtype=torch.int64) for g in grids]
    return {
        "grid": padded([g.ids for g in grids], -1),
        "grid_lengths": torch.tensor([len(g.ids) for g in grids]),
        "padding": padded([g.padding.astype(np.int64) for g in grids], -1),
        "tail": padded(tails, -1),
        "tail_lengths": torch.tensor([len(t) for t in tails]),
    }, grids


@every_layout
@pytest.mark.parametrize("masked, share", [(False, 0.0), (True, 0.0), (True, 0.3)])
def test_scores_equal_a_loop_over_cells(model_of, name, masked, share):
    model = model_of(name, keep_base=True)
    layout = model.core.layout
    utterances = [spoken(name, 0, 3, 8), spoken(name, 1, 1, 3), spoken(name, 2, 2, 12)]
    batch, grids = batch_of(layout, utterances)
    table = utterance_scores(model.core, batch, masked, share).table()
    for row, grid in enumerate(grids):
        logits = model.core(torch.from_numpy(grid.ids)[None])
        sums, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
        for cell in np.argwhere(~grid.padding):
            stream = layout.streams[cell[1]]
            scores, ident = logits[cell[1]][0, cell[0]].clone(), grid.ids[tuple(cell)]
            text = bool(stream.is_text[ident])
            if masked:
                scores[torch.from_numpy(stream.is_text != text)] = -torch.inf
            if text:
                known = written(layout, grid.ids[: cell[0]])
                scores = guided(model, share, stream, known, scores)
            sums[text] += float(scores.log_softmax(dim=-1)[ident].detach())
            counts[text] += 1
        assert float(table["text_sum"][row]) == pytest.approx(sums[True], rel=1e-4)
        if not grid.tail:
            speech = float(table["speech_sum"][row])
            mean = float(table["speech_mean"][row])
            assert speech == pytest.approx(sums[False], rel=1e-4)
            assert mean == pytest.approx(sums[False] / max(counts[False], 1), rel=1e-4)


@pytest.mark.parametrize("name", [*LAYOUTS, "padded with the end"])
def test_the_base_scores_the_text_that_is_scored(model_of, monkeypatch, name):
    made = "parallel" if name not in LAYOUTS else name
    if made != name:
        monkeypatch.setitem(LAYOUTS, made, lambda i: ParallelLayout(i, 1, 1, 0.0, True))
    core = model_of(made, keep_base=True).core
    utterances = [spoken(made, 0, 3, 8), spoken(made, 1, 1, 3), spoken(made, 2, 2, 12)]
    batch, grids = batch_of(core.layout, utterances)
    table = utterance_scores(core, batch).table()
    assert all(torch.isfinite(values).all() for values in table.values())
    stream = core.layout.streams[0]
    assert ("base_text_sum" in table) == bool(stream.text_size)
    for row, grid in enumerate(grids if stream.text_size else ()):
        sums = {"base_text_sum": 0.0, "base_tokens_sum": 0.0}
        for place, ident in enumerate(grid.ids[:, 0]):
            if ident < 40 and stream.is_text[ident] and not grid.padding[place, 0]:
                known = written(core.layout, grid.ids[:place])
                logits = base_logits(core.backbone, 0, known).log_softmax(dim=-1)
                sums["base_text_sum"] += float(logits[ident])
                sums["base_tokens_sum"] += float(logits[ident]) * (ident != 1)
        for column, wanted in sums.items():
            assert float(table[column][row]) == pytest.approx(wanted, rel=1e-4)


class Given:
    """A preprocessor whose utterances are given."""

    def __init__(self, layout):
        self.layout = layout

    def reader(self, name, fields):
        return fields["utterance"]

    def arrays(self, name, utterance):
        grid = self.layout.encode(utterance)
        return {
            "grid": grid.ids,
            "padding": grid.padding.astype(np.int64),
            "tail": np.array(grid.tail, dtype=np.int64),
        }


@every_layout
@pytest.mark.parametrize("first, last", [(0, 2), (1, 3), (2, 9)])
def test_cells_of_words_are_what_longer_prompts_add(name, first, last):
    layout = LAYOUTS[name](Inventory(TEXT, 6, BOOKS.get(name, 1)))
    utterance = spoken(name, 5, 4, 25)
    parts = WordParts(Given(layout), "utt", {"utterance": utterance})
    cells, speech = parts.entries(first, last)
    grid = layout.encode(utterance)
    assert speech.tolist() == cells.tolist() + [False] * len(grid.tail)
    columns = len(layout.streams)
    for place, inside in enumerate(cells.tolist()):
        row, stream = divmod(place, columns)
        given = []
        for count in (min(first, 4), min(last, 4)):
            prompt = layout.prompt(utterance.first(count)) if count else []
            known = row < len(prompt) and prompt[row][stream]
            given.append(row < len(prompt) and known == grid.ids[row, stream])
        assert inside == (given[1] and not given[0])
    if layout.streams[0].group == "text":
        text = grid.ids[cells.reshape(grid.ids.shape)[:, 0], 0].tolist()
        words = utterance.words[first:last]
        assert {c for c in text if 1 < c < 40} == {t for w in words for t in w}


@every_layout
def test_windows_of_grids_leave_out_beginning_and_end(model_of, name):
    model = model_of(name)
    scorer = Scorer(model, Given(model.core.layout))
    items = [{"utterance": spoken(name, n, 4, 25)} for n in range(2)]
    rows = WindowScorer(scorer, 0)(["a", "b"], items, [0, 2])
    assert rows[0]["both_normalised"] == pytest.approx(0, abs=1e-3)
    assert rows[1]["both_local"] < 0
    assert rows[1]["both_normalised"] != pytest.approx(0, abs=1e-3)


def test_a_tail_without_a_path_is_impossible(model_of):
    model = model_of("text_ctc")
    utterances = [spoken("text_ctc", 0, 4, 8), spoken("text_ctc", 1, 1, 60)]
    batch, grids = batch_of(model.core.layout, utterances)
    assert len(grids[1].tail) > 3 * 2
    table = utterance_scores(model.core, batch).table()
    assert torch.isfinite(table["speech_sum"][0])
    assert table["speech_sum"][1] == -torch.inf


def slow_ctc(log_probs, units, blank):
    """The sum over all alignments, by trying them all."""
    from itertools import product

    total = 0.0
    for path in product(range(log_probs.size(1)), repeat=len(log_probs)):
        said = [u for u, last in zip(path, (None, *path)) if u not in (last, blank)]
        if said == units:
            total += float(sum(log_probs[t, u] for t, u in enumerate(path)).exp())
    return -np.log(total)


def test_ctc_sums_over_all_alignments_and_says_the_likeliest(tiny_lm):
    torch.manual_seed(0)
    tail = CtcTail(16, 2, ratio=2, num_layers=1, num_heads=2).eval()
    torch.nn.init.normal_(tail.output.weight)
    hidden = torch.randn(2, 3, 16)
    lengths, units = torch.tensor([3, 2]), torch.tensor([[0, 1, 0], [1, -1, -1]])
    with torch.no_grad():
        loss = tail.loss(hidden, lengths, units, torch.tensor([3, 1]))
        log_probs = tail.log_probabilities(hidden)
        assert float(loss.per_utterance[0]) == pytest.approx(
            slow_ctc(log_probs[0], [0, 1, 0], 2), rel=1e-4
        )
        assert float(loss.per_utterance[1]) == pytest.approx(
            slow_ctc(log_probs[1, :4], [1], 2), rel=1e-4
        )
        repeated = tail.loss(
            hidden,
            torch.tensor([1, 1]),
            torch.tensor([[1, 1], [1, 0]]),
            lengths * 0 + 2,
        )
    assert repeated.feasible.tolist() == [False, True]
    assert repeated.per_utterance[0] == 0
    best = log_probs.argmax(dim=-1).tolist()
    heard = tail.decode(lambda: hidden, torch.tensor([1, 0]), lengths)
    assert heard == [tail.collapse(best[0][2:6]), tail.collapse(best[1][:4])]
    assert tail.collapse([2, 0, 0, 2, 0, 1, 1]) == (0, 0, 1)


def test_ctc_blocks_are_causal():
    torch.manual_seed(0)
    tail = CtcTail(16, 4, ratio=2, num_layers=2, num_heads=2).eval()
    hidden = torch.randn(1, 4, 16)
    changed = hidden.clone()
    changed[:, 2:] += 1.0
    with torch.no_grad():
        first, second = tail.log_probabilities(hidden), tail.log_probabilities(changed)
    torch.testing.assert_close(first[:, :4], second[:, :4])
    assert not torch.allclose(first[:, 4:], second[:, 4:])


def test_marked_rows_are_gathered_in_order():
    mask = torch.tensor([[False, True, True, False], [True, False, False, True]])
    rows, exists = compact(torch.cat([mask, torch.zeros(1, 4, dtype=torch.bool)]))
    assert rows.tolist() == [[1, 2], [0, 3], [0, 0]]
    assert exists.tolist() == [[True, True], [True, True], [False, False]]


def test_limits_that_contradict_are_refused():
    with pytest.raises(ValueError, match="0 <= min_words <= max_words"):
        Limits(min_words=5, max_words=4)
    with pytest.raises(ValueError, match="0 <= min_seconds <= max_seconds"):
        Limits(min_seconds=2.0, max_seconds=1.0)


def test_rows_that_hold_everything_are_not_read_again(model_of, monkeypatch):
    grid_lm = model_of("parallel").core

    def forward(grid):
        raise AssertionError("the LM ran for units that no tail gives")

    monkeypatch.setattr(grid_lm, "rows", forward)
    lengths = torch.tensor([2, 1])
    grid = torch.zeros(2, 2, 3, dtype=torch.int64)
    assert grid_lm.tail_units(grid, lengths, lengths - 1) == [(), ()]


def slow_divergence(core, grid):
    """Sum over the text of one utterance, cell by cell."""
    stream, total = core.layout.streams[0], 0.0
    logits = core(torch.from_numpy(grid.ids)[None])[0][0, :, : stream.text_size]
    for place, ident in enumerate(grid.ids[:, 0]):
        if 1 < ident < 40 and not grid.padding[place, 0]:
            known = written(core.layout, grid.ids[:place])
            base = base_logits(core.backbone, 0, known)[None]
            total = total + kl_to_base(logits[place : place + 1], base)[0]
    return total


@pytest.mark.parametrize("name", ["parallel", "frame_aligned", "interleave", "text"])
def test_the_text_of_every_design_is_compared_with_the_base(
    model_of, name, monkeypatch
):
    core = model_of(name, keep_base=True).core
    utterances = [spoken(name, 0, 3, 8), spoken(name, 1, 1, 3), spoken(name, 2, 2, 12)]
    batch, grids = batch_of(core.layout, utterances)
    weights = [torch.from_numpy(grid.weights) for grid in grids]
    batch["weights"] = torch.nn.utils.rnn.pad_sequence(weights, True)
    base = lambda text, lengths: core.base_states(text)  # noqa: E731
    group = core.layout.streams[0].group
    plain = group_losses.group_losses(core, batch, 0.0, base).groups[group]
    nats = losses.cell_nats(core(batch["grid"]), batch["grid"])[..., 0]
    first = batch["weights"][..., 0]
    torch.testing.assert_close(plain, losses.weighted_mean(nats, first))
    found = group_losses.group_losses(core, batch, 1.0, base)
    sums = [slow_divergence(core, grid) for grid in grids]
    ids = batch["grid"][..., 0]
    is_text = text_mask(core, batch["grid"])[..., 0] & (1 < ids) & (ids < 40)
    count = (is_text & (batch["padding"][..., 0] == 0)).sum()
    if name != "interleave":  # all is speech there
        torch.testing.assert_close(found.groups[group], sum(sums) / count)
    rarer = []
    for drawn in ([3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]):
        drawn = torch.tensor(drawn)
        monkeypatch.setattr(group_losses, "comparison_weights", lambda *_: drawn)
        rarer.append(group_losses.group_losses(core, batch, 1.0, base, 3).groups[group])
    torch.testing.assert_close(sum(rarer) / 3, found.groups[group])
    assert all(torch.isfinite(value) for value in found.stats.values())
