"""ESPnet preprocessors: transcript -> token ids and word ids.

Enters: one utterance as ESPnet's dataset reads it, ``{"text": str, ...}``, plus
``codes`` (W, Q) float for the spoken language model. Leaves: the same dictionary with
``text`` (N,) int64, ``word_ids`` (N,) int64 and ``codes`` (W, Q) int64; of an utterance
that is a turn and its answer, those of the answer, and those of the turn.

Legend: N text tokens, W words, Q codebooks.
"""

from pathlib import Path
from typing import Any

import numpy as np

from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.words import TokenizedWords, tokenize_words


class _WordPreprocessor:
    """Words of an utterance -> ids; every error names the utterance.

    Args:
        tokenizer: Vocabulary.
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

    def _tokenize(self, uid: str, text: str) -> TokenizedWords:
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

    def _with_text(self, uid: str, data: dict[str, Any]) -> dict[str, Any]:
        """Replace the transcript, where there is one, by ids and word ids."""
        if "text" not in data:
            return data
        tokens = self._tokenize(uid, data["text"])
        return {**data, "text": tokens.ids, "word_ids": tokens.word_ids}


class TastePreprocessor(_WordPreprocessor):
    """Text side of the TASTE tokenizer.

    Args:
        token_type: "bpe", "char", "hf" or "whisper" (see ``text.tokenizers``).
        token_list: ESPnet token list, file or tokens.
        bpemodel: sentencepiece model.
        tokenizer_path: Hugging Face directory or name.
        num_units: Unit classes the model knows; None leaves ``units`` unchecked.
        **words: Of :class:`_WordPreprocessor`.

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
        result = self._with_text(uid, data)
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


class TaslmPreprocessor(_WordPreprocessor):
    """Text and codes of the spoken language model, and the text backbone's text.

    Args:
        tokenizer_path: The language model's Hugging Face directory or name.
        **words: Of :class:`_WordPreprocessor`.

    Raises:
        ValueError: The tokenizer cannot be loaded.
    """

    def __init__(self, tokenizer_path: str, **words: bool) -> None:
        tokenizer = build_text_tokenizer("hf", tokenizer_path=tokenizer_path)
        super().__init__(tokenizer, **words)

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, Any]:
        """Tokenise one utterance and check its codes against its words.

        Args:
            uid: Utterance id.
            data: ``text`` str and, for speech, ``codes`` (W, Q); ``turn_words`` (1,) if
                so many words are a turn, which the others answer.

        Returns:
            ``text`` (N,), ``word_ids`` (N,), ``codes`` (W, Q) int64, with
            ``turn_words`` of the answer, and ``turn``, ``turn_word_ids`` and
            ``turn_codes`` of the turn.

        Raises:
            ValueError: The text is empty, or rows of codes and words differ in number,
                or a code is not a whole number, or a turn or an answer has no word.
        """
        if "turn_words" in data:
            return self._turn(uid, data)
        result = self._with_text(uid, data)
        if "codes" not in result:
            return result
        words = int(result["word_ids"][-1]) + 1 if "word_ids" in result else None
        codes = _whole_codes(uid, np.asarray(result["codes"]), words)
        return {**result, "codes": codes}

    def _turn(self, uid: str, data: dict[str, Any]) -> dict[str, Any]:
        """A turn and its answer, see :meth:`__call__`."""
        whole = {key: value for key, value in data.items() if key != "turn_words"}
        words, count = whole["text"].split(), int(data["turn_words"][0])
        if not 0 < count < len(words):
            raise ValueError(
                f"utterance '{uid}': {count} words of {len(words)} are a turn, "
                "expected at least one, and one for the answer: correct the table "
                "turn_words"
            )
        codes = _whole_codes(uid, np.asarray(whole["codes"]), len(words))
        sides = (words[:count], codes[:count]), (words[count:], codes[count:])
        turn, answer = (
            self(uid, {**whole, "text": " ".join(said), "codes": rows})
            for said, rows in sides
        )
        named = {"turn": "text", "turn_word_ids": "word_ids", "turn_codes": "codes"}
        return answer | {new: turn[old] for new, old in named.items()}


def _whole_codes(uid: str, codes: np.ndarray, words: int | None) -> np.ndarray:
    """Check word-level codes.

    Args:
        uid: Utterance id, for the message.
        codes: (W, Q) of any number type.
        words: W according to the text, or None when there is no text.

    Returns:
        The codes, (W, Q) int64.

    Raises:
        ValueError: Wrong rank, wrong number of rows, or fractions.
    """
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise ValueError(
            f"utterance '{uid}': codes must be words x codebooks, found shape "
            f"{codes.shape}; write them with taste_tokenize (stage 9)"
        )
    if words is not None and len(codes) != words:
        raise ValueError(
            f"utterance '{uid}': {words} words in the text but {len(codes)} rows of "
            "codes; tokenize the set again after changing its text (stage 9)"
        )
    whole = codes.astype(np.int64)
    if not np.array_equal(whole, codes):
        raise ValueError(
            f"utterance '{uid}': codes are not whole numbers; is this a file of "
            "vectors instead of codes?"
        )
    return whole
