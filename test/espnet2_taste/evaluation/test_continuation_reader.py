"""How likely text LMs find words after others: Hugging Face models and n-grams."""

import math
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.bin import slm_evaluate
from espnet2_taste.evaluation.continuation_reader import (
    ContinuationReader,
    NgramReader,
    load_reader,
)
from espnet2_taste.text.words import tokenize_words

NGRAMS = {  # log10 of the probability and of the back-off weight
    ("<s>",): (-99, -0.3),
    ("</s>",): (-1.0, 0),
    ("the",): (-0.6, -0.4),
    ("dog",): (-0.7, -0.2),
    ("runs",): (-0.9, -0.1),
    ("<s>", "the"): (-0.3, -0.25),
    ("the", "dog"): (-0.2, -0.15),
    ("dog", "runs"): (-0.5, -0.05),
    ("runs", "</s>"): (-0.4, 0),
    ("<s>", "the", "dog"): (-0.1, 0),
    ("dog", "runs", "</s>"): (-0.35, 0),
}


@pytest.fixture(scope="module")
def ngrams(tmp_path_factory):
    """The 3-gram LM of ``NGRAMS``, from an ARPA file."""
    pytest.importorskip("pocketsphinx", reason="the extra 'ngram' is not installed")
    lines = ["\\data\\"]
    for order in (1, 2, 3):
        lines.append(f"ngram {order}={sum(len(words) == order for words in NGRAMS)}")
    for order in (1, 2, 3):
        lines += ["", f"\\{order}-grams:"]
        for words, (probability, weight) in NGRAMS.items():
            if len(words) == order:
                columns = [probability, *words, *([weight] if order < 3 else [])]
                lines.append(" ".join(map(str, columns)))
    path = tmp_path_factory.mktemp("lm") / "tiny.arpa"
    path.write_text("\n".join([*lines, "", "\\end\\", ""]))
    return NgramReader(path)


def log10(words):
    """Of the last word after the others, by the definition of the ARPA format."""
    if words in NGRAMS:
        return NGRAMS[words][0]
    return NGRAMS.get(words[:-1], (0, 0))[1] + log10(words[1:])


def slow_loss(prompt, added):
    """Nats and number of the scored words, the end included."""
    before = ["<s>", *prompt]
    words = [*before, *added, "</s>"]
    scored = [i for i in range(len(before), len(words)) if (words[i],) in NGRAMS]
    total = sum(log10(tuple(words[max(0, i - 2) : i + 1])) for i in scored)
    return -total * math.log(10), len(scored)


TEXTS = st.lists(st.sampled_from(["the", "dog", "runs", "cat"]), max_size=6)


@given(prompt=TEXTS, added=TEXTS)
def test_ngrams_give_what_their_file_says(ngrams, prompt, added):
    wanted, scored = slow_loss(prompt, added)
    found = ngrams([" ".join(prompt)], [" ".join(added)])
    assert found.shape == (1,) and found[0] == pytest.approx(wanted, abs=2e-3)
    count = ngrams.count_words(" ".join(added))
    assert count.words == len(added) and count.scored + 1 == scored
    assert count.unknown == added.count("cat")


def test_the_end_after_a_prompt_is_all_that_silence_costs(ngrams):
    found = ngrams(["the dog runs", "the"], ["", "..."])
    assert found[0] == pytest.approx(0.35 * math.log(10), abs=1e-3)
    back_off = 0.25 + 0.4 + 1.0  # of <s> the, of the; the end alone
    assert found[1] == pytest.approx(back_off * math.log(10), abs=1e-3)
    assert ngrams.count_words("...") == (0, 0, 0)


def test_a_word_outside_the_vocabulary_is_left_out_and_ends_the_context(ngrams):
    found = ngrams(["the"], ["cat dog"])[0]
    wanted = 0.7 + 0.2 + 1.0  # dog alone; back-off of dog, the end alone
    assert found == pytest.approx(wanted * math.log(10), abs=1e-3)


def test_case_and_punctuation_are_not_read_by_ngrams(ngrams):
    found = ngrams(["The dog,", "the dog"], ["RUNS.", "runs"])
    assert found[0] == found[1]


def test_the_model_of_the_package_prefers_english():
    pytest.importorskip("pocketsphinx", reason="the extra 'ngram' is not installed")
    reader = load_reader("pocketsphinx")
    english, shuffled = reader(["", ""], ["in the middle of", "of middle the in"])
    assert 0 < english < shuffled
    assert reader.count_words("I'm well-known, 17th zzyzx") == (5, 2, 3)


def test_the_package_of_ngrams_is_named_where_it_is_absent(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    command = ["designs", "--names", "x", "--recognizer", "asr", "--lm", "lm"]
    command += ["--other_lms", "pocketsphinx", "--output_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"espnet2_taste\[ngram\]"):
        slm_evaluate.main(command)


def test_only_what_was_added_is_read(tiny_llm):
    reader = ContinuationReader.from_dir(tiny_llm)
    prompts, added = ["the dog", "a"], ["sees a cat", "dog runs"]
    together = reader(prompts, added)
    for index in range(2):
        alone = reader(prompts[index : index + 1], added[index : index + 1])
        assert together[index] == pytest.approx(alone[0], rel=1e-4)
    whole = reader([""], ["the dog sees a cat"])[0]
    begin = whole - together[0]
    ids = torch.from_numpy(tokenize_words(["the", "dog"], reader.tokenizer).ids)[None]
    losses = reader.model.token_losses(ids, torch.tensor([ids.shape[1]]))[0][0]
    assert begin == pytest.approx(losses[:-1].sum().item(), rel=1e-4)


def test_words_are_read_as_the_language_model_was_trained(tiny_llm):
    marked = ContinuationReader.from_dir(tiny_llm)
    bare = ContinuationReader.from_dir(tiny_llm, word_space=False)
    ids = tokenize_words(["the", "dog", "runs"], bare.tokenizer, word_space=False).ids
    losses = bare.model.token_losses(
        torch.from_numpy(ids)[None], torch.tensor([len(ids)])
    )[0]
    begin = len(tokenize_words(["the"], bare.tokenizer, word_space=False).ids)
    found = bare(["the"], ["dog runs"])[0]
    assert found == pytest.approx(float(losses[0, begin:].sum()), rel=1e-4)
    assert found != pytest.approx(marked(["the"], ["dog runs"])[0], rel=1e-4)


def test_unknown_tokens_of_a_hugging_face_model_are_counted(tiny_llm):
    reader = ContinuationReader.from_dir(tiny_llm)
    assert reader.count_words("") == (0, 0, 0)
    assert reader.count_words("sees a cat") == (3, 0, 3)
    *_, last = reader.tokenizer.encode_word("cat", first=False)
    tokenizer = reader.tokenizer.tokenizer
    tokenizer.unk_token = tokenizer.convert_ids_to_tokens(last)
    assert reader.count_words("sees a cat") == (3, 1, 3)
