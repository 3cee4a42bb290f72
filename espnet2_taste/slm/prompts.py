"""What comes before a continuation: the only place where modes of generation differ.

Enters: text, words and codes of a prompt. Leaves: :class:`PromptRows`, the rows that
the language model reads and the codes that are still under way when they end.

Legend: N text tokens, W words, P rows, Q codebooks, H hidden size, d delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from espnet2_taste.slm.layouts.abs_layout import HOLE
from espnet2_taste.slm.layouts.streams import TEXT_KINDS
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.layouts.word_grammar import WordState

if TYPE_CHECKING:
    from espnet2_taste.slm.taslm import Taslm


@dataclass(frozen=True)
class PromptRows:
    """A prompt as the language model reads it.

    Attributes:
        inputs: Embedded rows, (P, H).
        text: Ids that the repetition penalty counts, (N,).
        state: Of the grammar.
        current: Codes read in the last row, (Q,), -1 for none yet.
        pending: Codes that arrive next, (d, Q), -1 where none arrives.
        rows: Ids of the embedded rows, where the design writes these again.
        known: Rows that follow, with ``HOLE`` where a cell is to be chosen.
    """

    inputs: torch.Tensor
    text: torch.Tensor
    state: Any
    current: torch.Tensor | None = None
    pending: torch.Tensor | None = None
    rows: Sequence[Sequence[int]] = ()
    known: Sequence[Sequence[int]] = ()

    def with_text(
        self, tokens: Sequence[int], word_ids: Sequence[int], end_id: int
    ) -> "PromptRows":
        """The same with the text that follows, whose codes alone are chosen.

        Args:
            tokens: Text ids, (N,), at least one.
            word_ids: Word of each, (N,).
            end_id: The token that ends text.
        """
        before = (None, *word_ids[:-1])
        starts = tuple(word != last for word, last in zip(word_ids, before))
        known = [[token, HOLE] for token in (*tokens, end_id)]
        return replace(self, known=known, state=replace(self.state, given=starts))


def silence(taslm: "Taslm", rows: int) -> torch.Tensor:
    """Codes of rows in which no word arrives, (rows, Q) of -1."""
    shape = (rows, taslm.quantizer.num_codebooks)
    return torch.full(shape, IGNORE, device=taslm.pad_text.device)


def empty_prompt(taslm: "Taslm", starts_word: bool = True) -> PromptRows:
    """Nothing but the beginning of an utterance.

    Args:
        taslm: The model.
        starts_word: False where the first word is written without leading space.
    """
    return PromptRows(
        inputs=taslm.begin(1)[0],
        text=torch.empty(0, dtype=torch.int64, device=taslm.pad_text.device),
        state=WordState() if starts_word else WordState(TEXT_KINDS),
        current=silence(taslm, 1)[0],
        pending=silence(taslm, taslm.layout.delay),
    )


def spoken_prompt(
    taslm: "Taslm", text: torch.Tensor, word_ids: torch.Tensor, codes: torch.Tensor
) -> PromptRows:
    """Spoken words: text with the code of every word.

    Args:
        taslm: The model.
        text: Text ids, (N,).
        word_ids: Word of each token, (N,).
        codes: (W, Q).

    Raises:
        ValueError: Words and codes differ in number.
    """
    device, count = taslm.pad_text.device, len(text)
    text, word_ids = text.to(device)[None], word_ids.to(device)[None]
    codes = codes.to(device)[None]  # (1, W, Q)
    length = torch.tensor([count], device=device)
    grid = taslm.layout.encode(text, length, word_ids, taslm.eos_id)
    words = int(grid.word_labels.max()) + 1
    if words != codes.size(1):
        raise ValueError(
            f"the prompt has {words} words but {codes.size(1)} rows of codes"
        )
    read = torch.cat([codes[0], silence(taslm, 1)])[grid.words[0]]  # (L, Q)
    arriving = torch.where(grid.arrivals[0, :, None], read, IGNORE)
    return PromptRows(
        inputs=taslm.inputs(grid, codes)[0, : count + 1],
        text=text[0],
        state=WordState(),
        current=read[count],
        pending=arriving[count + 1 :],
    )


def written_prompt(
    taslm: "Taslm", text: torch.Tensor, reference_compat: bool = False
) -> PromptRows:
    """Written words, to be continued by spoken ones.

    Args:
        taslm: The model.
        text: Text ids, (N,).
        reference_compat: Published behaviour: bare text embeddings without BOS and
            without fusion, which training never shows.
    """
    empty, text = empty_prompt(taslm), text.to(taslm.pad_text.device)
    inputs = taslm.backbone.embed(text)  # (N, H)
    if not reference_compat:
        inputs = torch.cat([empty.inputs, written_rows(taslm, text)])
    return replace(empty, inputs=inputs, text=text)


def turn_prompt(
    taslm: "Taslm",
    prefix: torch.Tensor,
    spoken: PromptRows,
    suffix: torch.Tensor,
    reference_compat: bool = False,
) -> PromptRows:
    """Spoken words between written ones, e.g. the turns of a chat template.

    Args:
        taslm: The model.
        prefix: Text ids before, written as the template has them (with its BOS).
        spoken: The spoken words.
        suffix: Text ids after.
        reference_compat: Published behaviour: the text around the spoken words is
            embedded without fusion, and the codes of the last d words are left out.
            Otherwise d rows of text padding take them in before the suffix.
    """
    prefix, suffix = (ids.to(taslm.pad_text.device) for ids in (prefix, suffix))
    empty = empty_prompt(taslm, starts_word=False)
    if reference_compat:
        embed = taslm.backbone.embed
        parts = [embed(prefix), spoken.inputs[1:], embed(suffix)]
    else:
        written = prefix[1:] if prefix[:1].tolist() == [taslm.bos_id] else prefix
        parts = [empty.inputs, written_rows(taslm, written)]
        parts += [spoken.inputs[1:], drained_rows(taslm, spoken)]
        parts.append(written_rows(taslm, suffix))
    text = torch.cat([prefix, spoken.text, suffix])
    return replace(empty, inputs=torch.cat(parts), text=text)


def written_rows(taslm: "Taslm", text: torch.Tensor) -> torch.Tensor:
    """Rows of words without codes, fused as training's rows are before a code.

    Args:
        taslm: The model.
        text: Text ids, (N,).

    Returns:
        (N, H).
    """
    absent = taslm.code_embedding.pad.expand(len(text), -1)
    return taslm.fuse(taslm.backbone.embed(text), absent)


def drained_rows(taslm: "Taslm", rows: PromptRows) -> torch.Tensor:
    """Rows of text padding that read the pending codes of a prompt.

    Args:
        taslm: The model.
        rows: Of the prompt.

    Returns:
        (d, H).
    """
    read = torch.cat([rows.current[None], rows.pending])  # (d + 1, Q)
    present = (read != IGNORE).any(dim=-1)
    index = torch.arange(len(read), device=read.device)
    words = torch.where(present, index, IGNORE).cummax(dim=0).values
    speech = taslm.code_embedding(
        read[None], words[None], present[None], taslm.quantizer
    )
    text = taslm.pad_text.expand(len(rows.pending), -1)
    return taslm.fuse(text, speech[0, 1:])
