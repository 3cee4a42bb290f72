"""Cached batches against a plain loop over one prompt, and against training's rows."""

from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from slow_guidance import base_logits, slow_mix

from espnet2_taste.slm.backbone import FullBackbone, LoraBackbone
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.heads import (
    ContinueLatentLinearLastHead,
    LinearLastHead,
    WeightedLayerHead,
)
from espnet2_taste.slm.input_fusion import (
    ArrivalEmbedding,
    FillForwardEmbedding,
    WeightedSumFusion,
)
from espnet2_taste.slm.layouts.streams import TextVocabulary
from espnet2_taste.slm.layouts.text_aligned import TokenDelayLayout, WordDelayLayout
from espnet2_taste.slm.layouts.word_grammar import WordGrammar
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.prompts import (
    empty_prompt,
    spoken_prompt,
    turn_prompt,
    written_prompt,
)
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.slm.vocabulary import VocabularyMasks

BOS, EOS, VOCABULARY = 0, 1, 40
SAMPLED = GenerationOptions(
    text_top_p=0.95, text_temperature=1.5, repetition_penalty=1.2, speech_top_p=0.9
)
GUIDED = GenerationOptions(text_top_p=0.95, text_temperature=1.5, guidance=0.7)
RULES = Limits(min_words=2, max_words=6)


@pytest.fixture
def make_taslm(tiny_lm, quantizer):
    def make(layout, embedding=FillForwardEmbedding, head=LinearLastHead, lora=False):
        torch.manual_seed(3)
        backbone = LoraBackbone(tiny_lm, 2, 4) if lora else FullBackbone(tiny_lm)
        taslm = Taslm(
            backbone=backbone,
            quantizer=quantizer,
            layout=layout,
            code_embedding=embedding(quantizer),
            input_fusion=WeightedSumFusion(16, quantizer.dim, 0.0, 0.0),
            head=head(16, backbone.num_states, quantizer),
            bos_id=BOS,
            eos_id=EOS,
        )
        with torch.no_grad():
            for parameter in taslm.parameters():
                if parameter.dim() > 1 or not parameter.abs().sum():
                    parameter.copy_(0.5 * torch.randn_like(parameter))
        return taslm.eval()

    return make


def make_masks():
    index = torch.arange(VOCABULARY)
    banned = (index < 3) | (index == 17)
    return VocabularyMasks(index % 2 == 0, index % 11 == 5, banned)


def make_generator(taslm, options=GenerationOptions(), masks=None):
    text = TextVocabulary.of(masks or make_masks(), range(3), EOS)
    grammar = WordGrammar(taslm.layout, text)
    return Generator(taslm, options, RULES, grammar=grammar)


class Spoken(NamedTuple):
    """Spoken words before they are embedded."""

    text: torch.Tensor
    word_ids: torch.Tensor
    codes: torch.Tensor


def audio(seed, words):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 4, (words,), generator=generator)
    word_ids = torch.repeat_interleave(torch.arange(words), lengths)
    text = torch.randint(3, VOCABULARY, (len(word_ids),), generator=generator)
    codes = torch.randint(0, 7, (words, 3), generator=generator)
    return Spoken(text, word_ids, codes)


def prompts(taslm):
    written = torch.tensor([5, 9, 12])
    turn = spoken_prompt(taslm, *audio(2, 3))
    return [
        spoken_prompt(taslm, *audio(0, 5)),
        empty_prompt(taslm),
        spoken_prompt(taslm, *audio(1, 1)),
        written_prompt(taslm, written),
        turn_prompt(taslm, written, turn, torch.tensor([7])),
        spoken_prompt(taslm, *audio(3, 2)),
    ]


def spoken(taslm, count):
    return [spoken_prompt(taslm, *audio(seed, 2)) for seed in range(count)]


def streams(names):
    return UniformStreams.from_ids([f"utt{name}" for name in names], seed=5)


def plain_loop(generator, prompt, name):
    """One prompt, everything computed again for every token."""
    taslm, numbers = generator.core, streams([name])
    rows = prompt
    inputs, current = rows.inputs, rows.current
    seen = torch.zeros(1, VOCABULARY, dtype=torch.bool)
    seen[0, rows.text] = True
    starts, text, codes, waiting = [], [], [], None
    while waiting is None or waiting > 0:
        output = taslm.backbone(inputs[None], layers=taslm.head.layers)
        logits = taslm.backbone.logits(output.last[:, -1])[0].clone()
        if generator.mixture.share:
            known = [i for i in rows.text.tolist() if i != BOS] + text
            base = base_logits(taslm.backbone, BOS, known)
            share = generator.mixture.share
            logits = slow_mix(logits, base, VOCABULARY, EOS, share)
        for token in range(VOCABULARY):
            inner = token % 2 and token != EOS
            inner = inner and not starts and "inside" not in rows.state.opening
            if (make_masks().banned[token] and token != EOS) or inner:
                logits[token] = float("-inf")
        if sum(starts) < RULES.min_words:
            logits[EOS] = float("-inf")
        everyone = torch.tensor([True])
        token = int(generator.text_sampler(logits[None], seen, numbers, everyone))
        seen[0, token] = True
        begins = token % 2 == 0 or not starts
        full = begins and sum(starts[: len(text)]) >= RULES.max_words
        endless = len(starts) >= RULES.max_tokens
        if waiting is None and (token == EOS or full or endless):
            waiting = taslm.layout.delay
        ends = waiting is not None
        starts.append(begins or ends)
        if ends:
            waiting -= 1
        else:
            text.append(token)
        due = taslm.layout.due(starts)
        new = rows.pending[due] if due is not None and due < 0 else None
        if due is not None and due >= 0:
            states = [state[:, -1] for state in output.states]
            logits = taslm.head.code_logits(taslm.head(states), taslm.quantizer)
            new = generator.speech_sampler(logits, numbers, everyone)[0]
            codes.append(new)
        fresh = new is not None and bool((new >= 0).any())
        current = new if fresh else current
        heard = taslm.code_embedding.embed(current, taslm.quantizer)
        if not fresh:
            heard = taslm.code_embedding.hold(heard)
        if not (current >= 0).any():
            heard = taslm.code_embedding.pad
        word = taslm.pad_text if ends else taslm.backbone.embed(torch.tensor(token))
        inputs = torch.cat([inputs, taslm.fuse(word, heard)[None]])
    return text, torch.stack(codes)


CASES = [
    (WordDelayLayout(1), FillForwardEmbedding, ContinueLatentLinearLastHead),
    (WordDelayLayout(3), ArrivalEmbedding, LinearLastHead),
    (TokenDelayLayout(2), ArrivalEmbedding, WeightedLayerHead),
    (TokenDelayLayout(1), FillForwardEmbedding, LinearLastHead),
]


@pytest.mark.parametrize("layout, embedding, head", CASES)
@pytest.mark.parametrize("options", [GenerationOptions(), SAMPLED, GUIDED])
@torch.no_grad()
def test_a_cached_batch_equals_the_plain_loop(
    make_taslm, layout, embedding, head, options
):
    taslm = make_taslm(layout, embedding, head)
    generator = make_generator(taslm, options)
    together = generator(prompts(taslm), streams(range(6)))
    for name, (prompt, found) in enumerate(zip(prompts(taslm), together)):
        text, codes = plain_loop(generator, prompt, name)
        assert found.text.tolist() == text
        assert torch.equal(found.codes, codes)
        assert len(found.codes) == int(found.word_ids[-1]) + 1


def saying(prompt, item):
    return prompt.with_text(item.text.tolist(), item.word_ids.tolist(), EOS)


@pytest.mark.parametrize("layout, embedding, head", CASES)
@pytest.mark.parametrize(
    "options", [GenerationOptions(), replace(SAMPLED, text_top_p=0.0)]
)
@torch.no_grad()
def test_the_text_that_was_generated_gets_the_same_codes_when_it_is_given(
    make_taslm, layout, embedding, head, options
):
    taslm = make_taslm(layout, embedding, head)
    generator = make_generator(taslm, options)
    free = generator(prompts(taslm), streams(range(6)))
    given = [saying(*pair) for pair in zip(prompts(taslm), free)]
    for wanted, found in zip(free, generator(given, streams(range(6)))):
        assert torch.equal(found.text, wanted.text)
        assert torch.equal(found.word_ids, wanted.word_ids)
        assert torch.equal(found.codes, wanted.codes)


@pytest.mark.parametrize("layout, embedding, head", CASES)
@torch.no_grad()
def test_codes_of_a_given_text_are_those_of_training_s_rows(
    make_taslm, layout, embedding, head
):
    taslm, prompt, said = make_taslm(layout, embedding, head), audio(0, 2), audio(4, 9)
    generator = make_generator(taslm)
    (found,) = generator([saying(spoken_prompt(taslm, *prompt), said)], streams([0]))
    assert torch.equal(found.text, said.text) and len(found.codes) == 9
    text = torch.cat([prompt.text, said.text])[None]
    word_ids = torch.cat([prompt.word_ids, said.word_ids + 2])[None]
    codes = torch.cat([prompt.codes, found.codes])[None]
    grid = taslm.layout.encode(text, torch.tensor([text.size(1)]), word_ids, EOS)
    output = taslm.backbone(taslm.inputs(grid, codes), layers=taslm.head.layers)
    prediction = taslm.head([state[0] for state in output.states])
    wanted = taslm.head.code_logits(prediction, taslm.quantizer).argmax(dim=-1)
    labels = grid.word_labels[0]
    assert torch.equal(wanted[labels >= 2], found.codes[labels[labels >= 2] - 2])


def test_a_text_longer_than_the_positions_is_refused_before_it_is_read(make_taslm):
    taslm = make_taslm(WordDelayLayout(1))
    rows = taslm.backbone.causal_lm.config.max_position_embeddings
    generator = make_generator(taslm)
    given = empty_prompt(taslm).with_text([4] * rows, list(range(rows)), EOS)
    with pytest.raises(ValueError, match=f"language model has {rows} positions"):
        generator([given], streams([0]))


@pytest.mark.parametrize("layout, embedding, head", CASES)
@pytest.mark.parametrize("words", [1, 2, 5])
@torch.no_grad()
def test_generation_reads_the_rows_that_training_reads(
    make_taslm, layout, embedding, head, words
):
    taslm = make_taslm(layout, embedding, head)
    generator = make_generator(taslm, SAMPLED)
    prompt = audio(words, words)
    rows = [spoken_prompt(taslm, *prompt)]
    heard, due = [], []
    for batch in generator.trace(rows, streams([words])):
        heard.append(batch.inputs)
        due.append(generator.grammar.due(batch.items[0].state))
    found = generator(rows, streams([words]))[0]
    text = torch.cat([prompt.text, found.text])[None]
    word_ids = torch.cat([prompt.word_ids, found.word_ids + words])[None]
    codes = torch.cat([prompt.codes, found.codes])[None]
    grid = taslm.layout.encode(text, torch.tensor([text.size(1)]), word_ids, EOS)
    wanted = taslm.inputs(grid, codes)[0, len(prompt.text) : -1]
    heard = torch.cat(heard)
    torch.testing.assert_close(heard, wanted, atol=1e-5, rtol=1e-5)
    labels = grid.word_labels[0, len(prompt.text) : -1] - words
    sampled = [-1 if d is None or d < 0 else d for d in due]
    assert sampled == labels.clamp(min=-1).tolist()


@torch.no_grad()
def test_without_delay_every_word_gets_its_code(make_taslm):
    taslm = make_taslm(WordDelayLayout(0))
    generator = make_generator(taslm, SAMPLED)
    for found in generator(prompts(taslm), streams(range(6))):
        assert len(found.codes) == int(found.word_ids[-1]) + 1


@torch.no_grad()
def test_merged_adapters_generate_the_same(make_taslm):
    taslm = make_taslm(WordDelayLayout(1), lora=True)
    before = make_generator(taslm)(prompts(taslm), streams(range(6)))
    taslm.backbone = taslm.backbone.merged()
    assert not any("lora" in name for name, _ in taslm.named_parameters())
    after = make_generator(taslm)(prompts(taslm), streams(range(6)))
    for first, second in zip(before, after):
        assert torch.equal(first.text, second.text)
        assert torch.equal(first.codes, second.codes)


def test_a_compiled_lm_generates_the_same(make_taslm):
    """Traced by the compiler and run without what it would generate, which is slow."""
    found, made = [], make_taslm(WordDelayLayout(1), lora=True)
    for backend in (None, "eager"):
        taslm, chosen = deepcopy(made), replace(SAMPLED, compile=backend)
        chosen.prepare(taslm)
        generator = make_generator(taslm, chosen)
        found.append(generator(prompts(taslm), streams(range(6))))
    for first, second in zip(*found, strict=True):
        assert torch.equal(first.text, second.text)
        assert torch.equal(first.codes, second.codes)


def test_a_backend_that_there_is_not_is_refused(make_taslm):
    options = GenerationOptions(compile="nothing")
    with pytest.raises(ValueError, match="compile is 'nothing'.*inductor"):
        options.prepare(make_taslm(WordDelayLayout(1)))


def test_int8_is_not_compiled(make_taslm):
    options = GenerationOptions(compile="inductor", dtype="int8")
    with pytest.raises(
        ValueError, match="compile: inductor does nothing for dtype: in"
    ):
        options.prepare(make_taslm(WordDelayLayout(1)))


@torch.no_grad()
def test_banned_tokens_never_come_and_limits_hold(make_taslm):
    taslm = make_taslm(WordDelayLayout(1))
    generator = make_generator(taslm, SAMPLED)
    banned = set(make_masks().banned.nonzero()[:, 0].tolist())
    for found in generator(spoken(taslm, 12), streams(range(12))):
        assert not banned & set(found.text.tolist())
        assert RULES.min_words <= len(found.codes) <= RULES.max_words
        assert int(found.text[0]) % 2 == 0  # a new word, not the prompt's last


def test_words_and_codes_of_a_prompt_must_agree(make_taslm):
    prompt = audio(0, 3)
    taslm, short = make_taslm(WordDelayLayout(1)), prompt.codes[:2]
    with pytest.raises(ValueError, match="3 words but 2 rows of codes"):
        spoken_prompt(taslm, prompt.text, prompt.word_ids, short)


@pytest.mark.parametrize("bos", [(), (BOS,)])
@torch.no_grad()
def test_the_text_around_a_turn_is_read_as_text_is_in_training(make_taslm, bos):
    taslm = make_taslm(WordDelayLayout(1))
    before, after = torch.tensor([5, 9]), torch.tensor([7, 12])
    spoken = spoken_prompt(taslm, *audio(2, 3))
    prefix = torch.cat([torch.tensor(bos, dtype=torch.int64), before])
    rows = turn_prompt(taslm, prefix, spoken, after).inputs
    written = written_prompt(taslm, torch.cat([before, after])).inputs
    torch.testing.assert_close(rows[:3], written[:3])
    torch.testing.assert_close(rows[-2:], written[-2:])
    own = spoken.inputs[1:]
    torch.testing.assert_close(rows[3 : 3 + len(own)], own)
    assert len(rows) == 3 + len(own) + 1 + 2  # one row takes in the last code
    bare = turn_prompt(taslm, prefix, spoken, after, reference_compat=True)
    embedded = taslm.backbone.embed(after)
    torch.testing.assert_close(bare.inputs[-2:], embedded)


@torch.no_grad()
def test_letters_of_several_tokens_are_written_whole(make_taslm):
    taslm, letter = make_taslm(WordDelayLayout(1)), {11: b"\xe8", 13: b"\xaa\x9e"}
    index = torch.arange(VOCABULARY)
    banned = (index < 3) | (index == 17)
    masks = VocabularyMasks(
        index % 2 == 0, index < 0, banned, letter, spaces=frozenset([20])
    )
    generator = make_generator(taslm, SAMPLED, masks)
    found = generator(spoken(taslm, 24), streams(range(24)))
    texts = [item.text.tolist() for item in found]
    pairs = [pair for text in texts for pair in zip(text, [*text[1:], EOS])]
    assert {11, 13, 20} <= {first for first, _ in pairs}
    for first, second in pairs:
        assert (first == 11) == (second == 13)  # the one completes the other
        assert first != 20 or (second % 2 == 1 and second not in (EOS, 13))


FROZEN = [
    [
        ([38, 9, 9, 30, 37, 37, 37], [3, 2, 0, 1, 3, 2]),
        ([38, 38], [5, 2, 2, 6, 1, 1]),
        (
            [38, 28, 6, 37, 9, 9, 12, 12, 12],
            [1, 2, 3, 1, 1, 6, 4, 3, 3, 1, 2, 3, 5, 2, 5, 5, 2, 5],
        ),
        ([38, 38, 26, 25], [5, 2, 5, 1, 1, 0, 1, 1, 0]),
        (
            [20, 4, 38, 28, 21, 23, 23, 26, 27, 27, 27, 32, 27, 27, 27, 27, 27, 27, 5],
            [1, 2, 3, 1, 2, 3, 5, 2, 5, 1, 3, 2, 0, 1, 0, 5, 5, 5],
        ),
    ],
    [
        ([16, 12, 13], [4, 2, 4, 1, 3, 4]),
        ([10, 5, 24, 14, 9, 25], [5, 2, 4, 1, 1, 0, 0, 3, 0]),
        (
            [36, 12, 18, 7, 25, 9, 38, 21, 21, 21, 10, 38],
            [0, 2, 5, 0, 5, 5, 5, 4, 1, 1, 6, 1, 5, 2, 5, 1, 3, 3],
        ),
        ([38, 39, 38], [3, 2, 5, 2, 1, 0]),
        (
            [24, 28, 13, 22, 35, 12, 32, 8, 15, 5],
            [0, 2, 3, 2, 3, 2, 3, 5, 5, 5, 5, 6, 3, 6, 0, 1, 1, 1],
        ),
    ],
]
"""Text ids and codes that these prompts gave before designs shared their sampling."""


@pytest.mark.parametrize("options, wanted", zip([GenerationOptions(), SAMPLED], FROZEN))
@torch.no_grad()
def test_tokens_stay_what_they_were(make_taslm, options, wanted):
    taslm = make_taslm(WordDelayLayout(1))
    generator = make_generator(taslm, options)
    given = prompts(taslm)
    given.pop(4)  # the turn
    found = generator(given, streams(range(len(given))))
    for item, (text, codes) in zip(found, wanted, strict=True):
        assert (item.text.tolist(), item.codes.flatten().tolist()) == (text, codes)
