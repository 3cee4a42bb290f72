"""ESPnet preprocessors: transcript -> token ids and word ids.

Enters: one utterance as ESPnet's dataset reads it, ``{"text": str, ...}``. Leaves: the
same dictionary with ``text`` (N,) int64 and ``word_ids`` (N,) int64.

Legend: N text tokens, W words.
"""

from pathlib import Path
from typing import Any

import numpy as np

from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.words import TokenizedWords, tokenize_words


class TextPreprocessor:
    """Words of an utterance -> ids; every error names the utterance.

    Args:
        tokenizer: Of the words.
        first_word_space: Mark the first word's beginning too.
        word_space: False for languages written without spaces.
    """

    def __init__(
        self,
        tokenizer: AbsTextTokenizer,
        first_word_space: bool = True,
        word_space: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.first_word_space = first_word_space
        self.word_space = word_space

    def tokenize(self, uid: str, text: str) -> TokenizedWords:
        """Token ids of a transcript.

        Raises:
            ValueError: It is empty, or a word has no token.
        """
        words = text.split()
        if not words:
            raise ValueError(
                f"utterance '{uid}': empty text; run prepare_text (stage 3), which "
                "leaves such utterances out and lists them"
            )
        try:
            return tokenize_words(
                words, self.tokenizer, self.first_word_space, self.word_space
            )
        except ValueError as error:
            raise ValueError(f"utterance '{uid}': {error}") from error

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, Any]:
        """Replace the transcript of an utterance, where there is one.

        Args:
            uid: Utterance id.
            data: ``text`` str; everything else passes through.

        Returns:
            ``text`` (N,), ``word_ids`` (N,) and what passed through.
        """
        if "text" not in data:
            return data
        tokens = self.tokenize(uid, data["text"])
        return {**data, "text": tokens.ids, "word_ids": tokens.word_ids}


class TastePreprocessor(TextPreprocessor):
    """Text side of the TASTE tokenizer.

    Args:
        token_type: "bpe", "char", "hf" or "whisper" (see ``text.tokenizers``).
        token_list: ESPnet token list, file or tokens.
        bpemodel: sentencepiece model.
        tokenizer_path: Hugging Face directory or name.
        num_units: Unit classes the model knows; None leaves ``units`` unchecked.
        **words: Of :class:`TextPreprocessor`.

    Raises:
        ValueError: The tokenizer cannot be built from the options.
    """

    def __init__(
        self,
        token_type: str = "bpe",
        token_list: str | Path | list[str] | None = None,
        bpemodel: str | None = None,
        tokenizer_path: str | None = None,
        num_units: int | None = None,
        **words: bool,
    ) -> None:
        tokenizer = build_text_tokenizer(
            token_type, token_list, bpemodel, tokenizer_path
        )
        super().__init__(tokenizer, **words)
        self.num_units = num_units

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, Any]:
        """Tokenise one utterance.

        Args:
            uid: Utterance id.
            data: ``text`` str and, optionally, ``word_times`` (2 W,) in seconds;
                everything else passes through.

        Returns:
            ``text`` (N,), ``word_ids`` (N,), ``word_times`` (W, 2) and what passed
            through.

        Raises:
            ValueError: The text is empty, a word has no token, there are units the
                model does not know, or as many times as words are not there.
        """
        self._check_units(uid, data.get("units"))
        result = super().__call__(uid, data)
        if "word_times" in data and "word_ids" in result:
            words = int(result["word_ids"][-1]) + 1
            result["word_times"] = _time_pairs(uid, data["word_times"], words)
        return result

    def _check_units(self, uid: str, units: np.ndarray | None) -> None:
        if units is not None and self.num_units is not None:
            if np.max(units, initial=-1) >= self.num_units:
                raise ValueError(
                    f"utterance '{uid}': unit {np.max(units)}, but the unit decoder "
                    f"has {self.num_units} classes: set unit_decoder_conf.num_units "
                    "to that of stage 5"
                )


def _time_pairs(uid: str, word_times: np.ndarray, words: int) -> np.ndarray:
    """Begins and ends in a row (2 W,) -> (W, 2) float32.

    Raises:
        ValueError: They are not one pair a word.
    """
    if len(word_times) != 2 * words:
        raise ValueError(
            f"utterance '{uid}': {len(word_times)} word times, expected begin and end "
            f"of {words} words; align the set again after changing its text (stage 4)"
        )
    return np.asarray(word_times, dtype=np.float32).reshape(words, 2)
