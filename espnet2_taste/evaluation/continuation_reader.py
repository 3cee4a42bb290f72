"""How likely a text LM finds what is recognized in a continuation.

Enters: texts of prompts and of what follows them. Leaves: negative log-likelihoods in
nats of the words that follow and of the end after them. The designs of a comparison may
start from the first LM; another one, which took no part in any, favours none.

Legend: B utterances, N text tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.optional import require
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.normalizers import BasicNormalizer
from espnet2_taste.text.unknown import find_unknown
from espnet2_taste.text.words import tokenize_words

POCKETSPHINX = "pocketsphinx"
"""Name of the US English 3-gram LM that comes with this package."""


class WordCount(NamedTuple):
    """Words of a text.

    Attributes:
        words: How many there are, as the LM reads them.
        unknown: How many of them are outside its vocabulary.
        scored: How many have a probability in the likelihood.
    """

    words: int
    unknown: int
    scored: int


class AbsContinuationReader(ABC):
    """How likely a text LM finds words after other words."""

    @abstractmethod
    def __call__(self, prompts: Sequence[str], added: Sequence[str]) -> np.ndarray:
        """Negative log-likelihood of what was added, the end included.

        Args:
            prompts: B texts.
            added: What follows each.

        Returns:
            In nats, (B,).
        """

    @abstractmethod
    def count_words(self, added: str) -> WordCount:
        """Words of what was added to one prompt."""


class ContinuationReader(AbsContinuationReader):
    """A causal LM of Hugging Face; words with unknown tokens are scored by these.

    Args:
        model: Has ``token_losses``, as ``ESPnetTextLmModel``.
        tokenizer: Of the language model.
        words: How words become tokens, keyword arguments of ``tokenize_words``.
    """

    def __init__(self, model: torch.nn.Module, tokenizer, **words: bool):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.words = words

    @classmethod
    def from_dir(cls, lm: str | Path, **words: bool) -> "ContinuationReader":
        """Load a directory or hub name; ``words`` as in training."""
        from transformers import AutoModelForCausalLM

        from espnet2_taste.espnet_text_lm_model import ESPnetTextLmModel

        tokenizer = HuggingFaceTokenizer(lm)
        ends = (tokenizer.special_id("bos"), tokenizer.special_id("eos"))
        backbone = AutoModelForCausalLM.from_pretrained(lm)
        return cls(ESPnetTextLmModel(backbone, *ends), tokenizer, **words)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], added: Sequence[str]) -> np.ndarray:
        """See :meth:`AbsContinuationReader.__call__`."""
        whole = [f"{first} {second}".split() for first, second in zip(prompts, added)]
        tokens = [tokenize_words(row, self.tokenizer, **self.words) for row in whole]
        ids = [torch.from_numpy(item.ids) for item in tokens]
        lengths = torch.tensor([len(row) for row in ids])
        padded = pad_sequence(ids, batch_first=True, padding_value=-1)  # (B, N)
        losses = self.model.token_losses(padded, lengths)[0]  # (B, N + 1)
        result = []
        for row, first, item in zip(losses, prompts, tokens):
            begin = int((item.word_ids < len(first.split())).sum())
            result.append(float(row[begin:].sum()))
        return np.array(result)

    def count_words(self, added: str) -> WordCount:
        """See :meth:`AbsContinuationReader.count_words`."""
        spaces = self.words.get("word_space", True)
        unknown = find_unknown([added], self.tokenizer, word_space=spaces)
        words = len(added.split())
        return WordCount(words, sum(unknown.words.values()), words)


class NgramReader(AbsContinuationReader):
    """An n-gram LM of words in lower case, without punctuation.

    A word outside the vocabulary has no probability: it is left out of the likelihood,
    and what follows it has no context before itself, as SRILM's ``ngram -ppl`` does.

    Args:
        path: File in the ARPA or the binary format of ``pocketsphinx``, a closed
            vocabulary without ``<UNK>``.

    Raises:
        RuntimeError: ``pocketsphinx`` is not installed.
    """

    def __init__(self, path: str | Path):
        sphinx = _require_pocketsphinx()
        self.log = sphinx.LogMath()
        self.model = sphinx.NGramModel(sphinx.Config(), self.log, str(path))
        self.normalizer = BasicNormalizer()

    @classmethod
    def of_package(cls) -> "NgramReader":
        """The US English 3-gram LM that comes with ``pocketsphinx``."""
        return cls(_require_pocketsphinx().get_model_path("en-us/en-us.lm.bin"))

    def __call__(self, prompts: Sequence[str], added: Sequence[str]) -> np.ndarray:
        """See :meth:`AbsContinuationReader.__call__`."""
        result = []
        for first, second in zip(prompts, added):
            before = ["<s>", *self._split(first)]
            words = [*before, *self._split(second), "</s>"]
            scored = [
                i for i in range(len(before), len(words)) if self._knows(words[i])
            ]
            result.append(-sum(self._log_prob(words[: i + 1]) for i in scored))
        return np.array(result)

    def count_words(self, added: str) -> WordCount:
        """See :meth:`AbsContinuationReader.count_words`."""
        words = self._split(added)
        known = sum(map(self._knows, words))
        return WordCount(len(words), len(words) - known, known)

    def _split(self, text: str) -> list[str]:
        return self.normalizer(text).split()

    def _knows(self, word: str) -> bool:
        return self.log.exp(self.model.prob([word])) > 0

    def _log_prob(self, words: Sequence[str]) -> float:
        """Of the last word after those before it; the package wants it first."""
        nearest_first = list(words[: -self.model.size() - 1 : -1])
        return self.log.log_to_ln(self.model.prob(nearest_first))


def load_reader(lm: str, **words: bool) -> AbsContinuationReader:
    """Load a text LM by its name.

    Args:
        lm: Hugging Face directory or hub name, or ``pocketsphinx``.
        words: How words become tokens of a Hugging Face LM.

    Returns:
        The reader.
    """
    if lm == POCKETSPHINX:
        return NgramReader.of_package()
    return ContinuationReader.from_dir(lm, **words)


def _require_pocketsphinx():
    return require("pocketsphinx", "the perplexity by an n-gram LM", "ngram")
