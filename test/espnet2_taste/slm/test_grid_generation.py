"""Sampling and scoring of every layout with a tiny LM, against plain loops."""

import numpy as np
import pytest
import torch

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.slm.backbone import FullBackbone
from espnet2_taste.slm.grid_embedding import GridEmbedding, SumStreams
from espnet2_taste.slm.grid_generation import (
    GridGenerator,
    GridSampling,
    IdSampling,
    full_rows,
)
from espnet2_taste.slm.grid_heads import DepthGridHead, LinearGridHead
from espnet2_taste.slm.grid_lm import GridLM
from espnet2_taste.slm.grid_losses import compact
from espnet2_taste.slm.grid_scoring import score_grids
from espnet2_taste.slm.layouts.abs_layout import HOLE, run_grammar
from espnet2_taste.slm.layouts.frame_aligned import FrameAlignedLayout
from espnet2_taste.slm.layouts.interleave import InterleaveLayout
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.streams import END, IdSet, Inventory, TextVocabulary
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout, TextLayout
from espnet2_taste.slm.layouts.unit import UnitLayout
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.slm.sampling import UniformStreams
from espnet2_taste.slm.tail_heads import CtcTail, NoTail

TEXT = TextVocabulary(
    starts=np.arange(40) % 2 == 0, special=np.arange(40) < 2, end_id=1
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
    def build(name):
        torch.manual_seed(0)
        layout = LAYOUTS[name](Inventory(TEXT, 6, BOOKS.get(name, 1)))
        backbone = FullBackbone(tiny_lm, keep_base=False)
        streams, size = layout.streams, backbone.hidden_size
        embedding = GridEmbedding(streams, backbone, SumStreams(streams), 0)
        torch.nn.init.normal_(embedding.start)
        head = LinearGridHead(size, len(streams))
        if name in BOOKS:
            head = DepthGridHead(size, len(streams), 8, 1, 2)
        tail = CtcTail(size, 6, 3, 1, 2) if name == "text_ctc" else NoTail(size, 6)
        model = GridLM(backbone, layout, embedding, head, tail, 0)
        for output in model.outputs.values():
            torch.nn.init.normal_(output.weight)
        return ESPnetGridLMModel(model).eval()

    return build


def spoken(name, seed, words, frames):
    """An utterance of even token ids at the beginning of words, odd ones inside."""
    rng = np.random.default_rng(seed)
    ids = [(int(rng.integers(1, 20)) * 2, int(rng.integers(1, 20)) * 2 + 1)] * words
    units = rng.integers(0, 6, (frames, BOOKS.get(name, 1))).tolist()
    starts = np.linspace(0, frames / 25, words, endpoint=False).tolist()
    times = tuple(zip(starts, [*starts[1:], frames / 25]))
    return Utterance(tuple(ids), tuple(map(tuple, units)), word_times=times)


def prompts_of(name, layout):
    return [
        layout.prompt(spoken(name, 0, 2, 9)),
        layout.prompt(spoken(name, 1, 4, 5)),
        layout.prompt(spoken(name, 2, 1, 14)),
    ]


SAMPLING = GridSampling(IdSampling(0.9), IdSampling(0.9, 0.9, 5), speech_only=False)


def slow_continuation(model, prompt, limit, streams, least=0):
    """Without cache and batch: the whole model again for every cell."""
    grid_lm = model.grid_lm
    layout, rows, state = grid_lm.layout, [], grid_lm.layout.start()
    count, resumed = len(layout.streams), False
    while not layout.final(state) and len(rows) < limit:
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
            logits = grid_lm(grid)[0][index][:, -1]
            allowed = layout.allowed(state, row)
            if len(rows) < least and allowed.kinds != {END}:
                allowed = IdSet(allowed.kinds - {END}, allowed.without)
            mask = torch.from_numpy(stream.mask(allowed))
            rule = SAMPLING.text if stream.group == "text" else SAMPLING.speech
            uniform = streams.take(torch.tensor([True]), 1)[:, 0]
            row.append(int(rule(logits.masked_fill(~mask, -torch.inf), uniform)))
        state = layout.advance(state, row)
        rows.append(row)
    return np.array(rows), layout.final(state)


@every_layout
@pytest.mark.parametrize("more", [0, 4])
def test_batched_cached_sampling_equals_the_plain_loop(model_of, name, more):
    model = model_of(name)
    prompts = prompts_of(name, model.grid_lm.layout)
    limits = [len(prompt) + 6 for prompt in prompts]
    least = [len(prompt) + more for prompt in prompts]
    names = [f"utt{i}" for i in range(len(prompts))]
    generate = GridGenerator(model.grid_lm, SAMPLING)
    fast = generate(prompts, limits, UniformStreams.from_ids(names, 3), least)
    with torch.no_grad():
        for item, prompt, limit, utt in zip(fast, prompts, limits, names):
            streams = UniformStreams.from_ids([utt], 3)
            ids, ended = slow_continuation(
                model, prompt, limit, streams, len(prompt) + more
            )
            assert np.array_equal(item.ids, ids) and item.ended == ended
            known = prompt != HOLE
            assert np.array_equal(item.ids[: len(prompt)][known], prompt[known])


@every_layout
def test_sampling_without_a_prompt_follows_the_grammar(model_of, name):
    layout = model_of(name).grid_lm.layout
    empty = np.zeros((0, len(layout.streams)), dtype=np.int64)
    generate = GridGenerator(model_of(name).grid_lm, SAMPLING)
    streams = UniformStreams.from_ids([str(i) for i in range(4)], 0)
    for item in generate([empty] * 4, [12] * 4, streams):
        assert item.ended == layout.final(run_grammar(layout, item.ids))
        layout.decode(item.ids)


def test_speech_goes_on_as_speech(model_of):
    grid_lm = model_of("interleave").grid_lm
    prompts = prompts_of("interleave", grid_lm.layout)
    generate = GridGenerator(grid_lm, GridSampling(speech=IdSampling(1.0)))
    for seed in range(3):
        streams = UniformStreams.from_ids(["a", "b", "c"], seed)
        for item in generate(prompts, [40] * 3, streams):
            assert not grid_lm.layout.decode(item.ids).words


def test_text_that_wants_to_end_goes_on_for_the_least_rows(model_of, monkeypatch):
    grid_lm = model_of("text").grid_lm
    wish = torch.nn.functional.one_hot(torch.tensor(TEXT.end_id), 40).float()
    monkeypatch.setattr(grid_lm, "next_logits", lambda h, c: wish.expand(len(h), 40))
    prompts = prompts_of("text", grid_lm.layout)
    likeliest = GridGenerator(grid_lm, GridSampling())
    for more in (0, 3):
        least = [len(prompt) + more for prompt in prompts]
        streams = UniformStreams.from_ids(["a", "b", "c"], 0)
        for item, prompt in zip(likeliest(prompts, [30] * 3, streams, least), prompts):
            assert item.ended and len(item.ids) - len(prompt) == more + 1


def test_rows_before_the_first_hole_are_counted():
    assert full_rows(np.array([[1, 2], [3, HOLE], [HOLE, HOLE]])) == 1
    assert full_rows(np.zeros((3, 2))) == 3 and full_rows(np.zeros((0, 2))) == 0


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
@pytest.mark.parametrize("masked", [False, True])
def test_scores_equal_a_loop_over_cells(model_of, name, masked):
    model = model_of(name)
    layout = model.grid_lm.layout
    utterances = [spoken(name, 0, 3, 8), spoken(name, 1, 1, 3), spoken(name, 2, 2, 12)]
    batch, grids = batch_of(layout, utterances)
    table = score_grids(model, **batch, mask_other_vocab=masked).table()
    for row, grid in enumerate(grids):
        logits = model.grid_lm(torch.from_numpy(grid.ids)[None])[0]
        sums, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
        for cell in np.argwhere(~grid.padding):
            stream = layout.streams[cell[1]]
            scores, ident = logits[cell[1]][0, cell[0]].clone(), grid.ids[tuple(cell)]
            text = bool(stream.is_text[ident])
            if masked:
                scores[torch.from_numpy(stream.is_text != text)] = -torch.inf
            sums[text] += float(scores.log_softmax(dim=-1)[ident].detach())
            counts[text] += 1
        assert float(table["text_sum"][row]) == pytest.approx(sums[True], rel=1e-4)
        if not grid.tail:
            speech = float(table["speech_sum"][row])
            mean = float(table["speech_mean"][row])
            assert speech == pytest.approx(sums[False], rel=1e-4)
            assert mean == pytest.approx(sums[False] / max(counts[False], 1), rel=1e-4)


def test_a_tail_without_a_path_is_impossible(model_of):
    model = model_of("text_ctc")
    utterances = [spoken("text_ctc", 0, 4, 8), spoken("text_ctc", 1, 1, 60)]
    batch, grids = batch_of(model.grid_lm.layout, utterances)
    assert len(grids[1].tail) > 3 * 2
    table = score_grids(model, **batch).table()
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


def test_sampling_options_are_checked():
    with pytest.raises(ValueError, match="0 <= top_p <= 1"):
        IdSampling(top_p=2.0)


def test_rows_that_hold_everything_are_not_read_again(model_of, monkeypatch):
    grid_lm = model_of("parallel").grid_lm

    def forward(grid):
        raise AssertionError("the LM ran for units that no tail gives")

    monkeypatch.setattr(grid_lm, "forward", forward)
    lengths = torch.tensor([2, 1])
    grid = torch.zeros(2, 2, 3, dtype=torch.int64)
    assert grid_lm.tail_units(grid, lengths, lengths - 1) == [(), ()]
