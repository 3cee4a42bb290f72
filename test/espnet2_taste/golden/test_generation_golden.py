"""G6: continuations, row by row, in all modes; the sampler's vocabulary tables."""

import json

import pytest
import torch
from helper_modules import load_tests
from transformers import PreTrainedTokenizerFast
from word_cores import utterance
from word_places import word_starts

from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.layouts.streams import TextVocabulary
from espnet2_taste.slm.layouts.text_aligned import TokenDelayLayout
from espnet2_taste.slm.layouts.utterance import Turn
from espnet2_taste.slm.layouts.word_grammar import PublishedGrammar
from espnet2_taste.slm.prompts import (
    empty_prompt,
    spoken_prompt,
    turn_prompt,
    written_prompt,
)
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.vocabulary import VocabularyMasks, joined, token_strings
from espnet2_taste.speech_decoder.unit_sampling import ArgmaxSampler, UtteranceNoise

TABLES = "G6_sampler_tables/tables.json"


class RecordedUniforms(UniformStreams):
    """The uniform numbers of a case, in the order in which they were used."""

    def __init__(self, numbers):
        super().__init__([torch.Generator()], block=max(1, len(numbers)))
        self.drawn, self.used = numbers[None].clone(), torch.zeros(1, dtype=torch.int64)


def load_tokenizer(golden):
    path = golden.root / "config" / "llama" / "tokenizer.json"
    return PreTrainedTokenizerFast(tokenizer_file=str(path))


def make_masks(golden):
    case = golden.config["case"]
    return VocabularyMasks.from_reference_rules(
        token_strings(load_tokenizer(golden)),
        case["sampler_special_start"],
        case["sampler_eos_id"],
    )


def prompt_codes(golden):
    """Codes of the prompt's words, (W, Q)."""
    word_ids, lengths = golden["llm_word_ids"].long(), golden["llm_token_lengths"]
    starts, _ = word_starts(word_ids, lengths.long())
    return golden["prompt_llm_indices"][0, starts[0]].long()


def prompt_words(golden):
    text, word_ids = (golden[f"llm_{name}_ids"][0].long() for name in ("token", "word"))
    return utterance(text, word_ids, prompt_codes(golden))


def audio_prompt(golden, taslm):
    return spoken_prompt(taslm, prompt_words(golden))


def instruct_prompt(golden, taslm):
    before, after = (golden[f"instruct_{n}_ids"].tolist() for n in ("prefix", "suffix"))
    return turn_prompt(taslm, Turn(prompt_words(golden), before, after), True)


def text_prompt(golden, taslm):
    return written_prompt(taslm, golden["llm_token_ids"][0].tolist(), True)


PROMPTS = {
    "audio": audio_prompt,
    "zero": lambda golden, taslm: empty_prompt(taslm),
    "text": text_prompt,
    "instruct": instruct_prompt,
}


def make_generator(golden, merged=False):
    taslm, _ = load_tests("golden", "test_taslm_golden.py").make_taslm(golden)
    if merged:
        taslm.backbone = taslm.backbone.merged()
    case = golden.config["case"]
    options = GenerationOptions(
        text_top_p=case.get("text_top_p", 0.0),
        text_temperature=case.get("text_temperature", 1.0),
        repetition_penalty=case.get("repetition_penalty", 1.0),
        speech_top_p=case.get("taste_top_p", 0.0),
        reference_compat=True,
    )
    masks = make_masks(golden).resized(taslm.backbone.vocab_size)
    text = TextVocabulary.of(masks, (), case["sampler_eos_id"])
    end = (case["extra_words"], case.get("stop_id"))
    grammar = PublishedGrammar(taslm.layout, text, *end)
    return Generator(taslm, options, grammar=grammar)


class Trace:
    """What was found for one row."""

    def __init__(self, batch, text, state):
        self.inputs, self.logits, self.codes = batch.inputs, batch.logits, batch.codes
        self.prediction, self.state = batch.prediction, state
        self.text = torch.tensor([text])


def run(golden, generator):
    case = golden.config["case"]
    with torch.inference_mode():
        prompt = PROMPTS[case["conditional_mode"]](golden, generator.core)
    streams = RecordedUniforms(golden.tensors.get("uniforms", torch.zeros(0)))
    traces, item = [], None
    for batch in generator.trace([prompt], streams):
        (item,) = batch.items
        traces.append(Trace(batch, item.rows[-1][0], item.state))
    return prompt, traces, generator.finish(item)


def emitted_rows(traces, grammar):
    """Rows for which the published system writes codes: those after the delay."""
    starts = [grammar.due(trace.state) is not None for trace in traces]
    layout = grammar.layout
    if isinstance(layout, TokenDelayLayout):
        return traces[layout.delay :]
    first = [i for i, start in enumerate(starts) if start][layout.delay]
    return traces[first:]


@pytest.mark.golden("G6[a-z]_*")
def test_continuation(golden, golden_check):
    generator = make_generator(golden)
    prompt, traces, continuation = run(golden, generator)
    taslm = generator.core
    count = int(golden.scalar("prompt_positions"))
    inputs = prompt.inputs
    assert len(inputs) == count
    heard = torch.cat([inputs[:-1], *(trace.inputs for trace in traces)])
    golden_check(heard[None], golden["inputs_embeds_last"], "inputs_embeds_last")
    text = torch.cat([trace.text for trace in traces])
    golden_check(text, golden["step.text_id"], "step.text_id")
    logits = torch.cat([trace.logits for trace in traces])
    golden_check(logits, golden["step.text_logits"], "step.text_logits")
    codes = torch.cat([trace.codes for trace in traces])
    golden_check(codes, golden["step.taste_ids"], "step.taste_ids")
    if "step.z" in golden.tensors:
        z = torch.cat([trace.prediction.z for trace in traces])
        golden_check(z, golden["step.z"], "step.z")
    if "step.taste_logits" in golden.tensors:
        head, quantizer = taslm.code_head, taslm.quantizer
        taste = [head.code_logits(trace.prediction, quantizer) for trace in traces]
        golden_check(torch.cat(taste), golden["step.taste_logits"], "taste_logits")
    golden_check(continuation.text[None], golden["generated_llm_token_ids"], "text")
    word_ids = golden["generated_llm_word_ids"]
    golden_check(continuation.word_ids[None], word_ids, "word_ids")
    rows = [trace.codes for trace in emitted_rows(traces, generator.grammar)]
    golden_check(torch.cat(rows)[None], golden["generated_llm_indices"], "indices")


@pytest.mark.golden("G6[a-z]_*")
def test_merged_adapters_choose_the_same(golden, golden_check):
    """What inference runs: the adapters' weights merged."""
    generator = make_generator(golden, merged=True)
    _, traces, continuation = run(golden, generator)
    logits = torch.cat([trace.logits for trace in traces])
    golden_check(logits, golden["step.text_logits"], "merged step.text_logits")
    codes = torch.cat([trace.codes for trace in traces])
    golden_check(codes, golden["step.taste_ids"], "merged step.taste_ids")
    golden_check(continuation.text[None], golden["generated_llm_token_ids"], "merged")


def whisper_tokens(golden, words):
    """Ids of words tokenised one by one, and the word of each."""
    path = golden.root / "config" / "whisper" / "bpe_tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))
    ids = [tokenizer.encode(f" {word}", add_special_tokens=False) for word in words]
    word_ids = [index for index, row in enumerate(ids) for _ in row]
    return torch.tensor(sum(ids, [])), torch.tensor(word_ids)


def spoken_words(golden, continuation):
    """Whisper ids of what is spoken, and the codes of each."""
    text = load_tokenizer(golden).decode(continuation.text.tolist())
    words = joined(text).split()
    assert len(words) == len(continuation.codes)
    ids, word_ids = whisper_tokens(golden, words)
    codes = continuation.codes[word_ids]
    only = golden.config["case"].get("out_generated_part_only", False)
    if golden.config["case"]["conditional_mode"] == "audio" and not only:
        before = prompt_codes(golden)[golden["asr_word_ids"][0].long()]
        ids = torch.cat([golden["asr_token_ids"][0], ids])
        codes = torch.cat([before, codes])
    return ids[None], codes[None]


@pytest.mark.golden("G6[a-z]_*")
def test_speech_of_a_continuation(golden, golden_check):
    generator = make_generator(golden)
    _, _, continuation = run(golden, generator)
    ids, codes = spoken_words(golden, continuation)
    golden_check(ids, golden["decoder.asr_token_ids"], "asr_token_ids")
    taste = generator.core.quantizer.decode(codes)
    golden_check(taste, golden["decoder.audio_unit_embeds"], "audio_unit_embeds")
    decoder = load_tests("golden", "test_speech_decoder.py").make_decoder(golden).eval()
    units = decoder.generate(
        ids,
        torch.tensor([ids.size(1)]),
        taste,
        golden["speaker_embeds"],
        ArgmaxSampler(),
        UtteranceNoise([torch.Generator()]),
    )
    golden_check(units[0][None], golden["speech_token_ids"], "speech_token_ids")


@pytest.mark.golden("G6a_*")
def test_vocabulary_tables(golden):
    path = golden.root / TABLES
    if not path.is_file():
        pytest.skip(f"{path} not found")
    tables = json.loads(path.read_text())
    strings = token_strings(load_tokenizer(golden))
    assert [joined(text) for text in strings] == tables["strings"]
    masks = make_masks(golden)
    names = {"word_start": "word_start", "sentence_end": "sentence_end"}
    for attribute, name in (*names.items(), ("banned", "ban")):
        found = getattr(masks, attribute).nonzero()[:, 0].tolist()
        assert found == sorted(tables[name]), name
