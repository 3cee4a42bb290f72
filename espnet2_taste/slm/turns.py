"""Turns of a dialogue: spoken words between written ones, which an answer follows.

Enters: the words of a turn with their codes. Leaves: the rows that come before the
answer. Training and generation take them from here.

Legend: N text tokens, W words, Q codebooks.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from espnet2_taste.slm.prompts import PromptRows, spoken_prompt, turn_prompt
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer

if TYPE_CHECKING:
    from espnet2_taste.slm.taslm import Taslm

TURN_MARK = "SPOKENWORDS"
"""Stands for the spoken words while a chat template is filled in."""


@dataclass(frozen=True)
class TurnFrame:
    """Text around a turn.

    Attributes:
        before: Text ids, BOS first.
        after: Text ids.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(
        cls, tokenizer: HuggingFaceTokenizer, texts: tuple[str, str] | None = None
    ) -> "TurnFrame":
        """Tokenise the text around a turn.

        Args:
            tokenizer: The text LM's.
            texts: Text before and after the turn; None for the tokenizer's chat
                template. BOS is put before it where it is missing.

        Raises:
            RuntimeError: No text is given and the tokenizer has no template.
        """
        before, after = (
            tokenizer.tokenizer.encode(text, add_special_tokens=False)
            for text in texts or chat_frame(tokenizer.tokenizer)
        )
        bos = tokenizer.special_id("bos")
        return cls(
            tuple(before if before[:1] == [bos] else [bos, *before]), tuple(after)
        )

    def rows(
        self, taslm: "Taslm", spoken: PromptRows, reference_compat: bool = False
    ) -> PromptRows:
        """Rows of a turn.

        Args:
            taslm: The model.
            spoken: The spoken words, see ``prompts.spoken_prompt``.
            reference_compat: See ``prompts.turn_prompt``.
        """
        before = torch.tensor(self.before)
        after = torch.tensor(self.after, dtype=torch.int64)
        return turn_prompt(taslm, before, spoken, after, reference_compat)


def turn_rows(taslm: "Taslm", batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Rows (P, H) of the turns of a batch, each of which its answer follows.

    Args:
        taslm: The model, with a ``turn_frame``.
        batch: ``turn`` (B, N), ``turn_word_ids`` (B, N) and ``turn_codes`` (B, W, Q)
            with their lengths.

    Raises:
        RuntimeError: The model knows no text around turns.
    """
    if taslm.turn_frame is None:
        raise RuntimeError(
            "there are turns (turn_words) but no text to stand around them: give "
            "--turn_frame BEFORE AFTER, or a tokenizer with a chat template"
        )
    names = ("turn", "turn_word_ids", "turn_codes")
    items = zip(*(batch[name] for name in names))
    lengths = zip(batch["turn_lengths"].tolist(), batch["turn_codes_lengths"].tolist())
    return [
        taslm.turn_frame.rows(
            taslm, spoken_prompt(taslm, text[:tokens], ids[:tokens], codes[:words])
        ).inputs
        for (text, ids, codes), (tokens, words) in zip(items, lengths)
    ]


def chat_frame(tokenizer) -> tuple[str, str]:
    """What a tokenizer's chat template writes around a turn that is to be answered.

    Args:
        tokenizer: A ``transformers`` tokenizer.

    Returns:
        Text before and after the turn.

    Raises:
        RuntimeError: It has no chat template, or one that changes the turn.
    """
    if tokenizer.chat_template is None:
        raise RuntimeError(
            "the text LM's tokenizer has no chat template: write the text around a "
            "spoken turn yourself (--turn_frame BEFORE AFTER)"
        )
    turn = [{"role": "user", "content": TURN_MARK}]
    text = tokenizer.apply_chat_template(
        turn, tokenize=False, add_generation_prompt=True
    )
    before, mark, after = text.partition(TURN_MARK)
    if not mark:
        raise RuntimeError(
            "the chat template of the text LM's tokenizer changes what is said: write "
            "the text around a spoken turn yourself (--turn_frame BEFORE AFTER)"
        )
    return before, after
