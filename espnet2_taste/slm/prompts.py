"""What comes before a continuation: the only place where modes of generation differ.

Enters: text, words and codes of a prompt. Leaves: :class:`PromptRows`, the rows that
the language model reads and the codes that are still under way when they end.

Legend: N text tokens, W words, P rows, Q codebooks, H hidden size, d delay.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import torch

from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.taslm import Taslm


@dataclass(frozen=True)
class PromptRows:
    """A prompt as the language model reads it.

    Attributes:
        inputs: Embedded rows, (P, H).
        text: Ids that the repetition penalty counts, (N,).
        current: Codes read in the last row, (Q,), -1 for none yet.
        pending: Codes that arrive next, (d, Q), -1 where none arrives.
        starts_word: The continuation begins with a token that begins a word.
    """

    inputs: torch.Tensor
    text: torch.Tensor
    current: torch.Tensor
    pending: torch.Tensor
    starts_word: bool = True


class AbsPrompt(ABC):
    """Something to continue."""

    @abstractmethod
    def rows(self, taslm: Taslm) -> PromptRows:
        """Embed the prompt.

        Args:
            taslm: The model in evaluation mode.

        Returns:
            Its rows.
        """


def silence(taslm: Taslm, rows: int) -> torch.Tensor:
    """Codes of rows in which no word arrives, (rows, Q) of -1."""
    shape = (rows, taslm.quantizer.num_codebooks)
    return torch.full(shape, IGNORE, device=taslm.pad_text.device)


def no_text(taslm: Taslm) -> torch.Tensor:
    """No ids, (0,)."""
    return torch.empty(0, dtype=torch.int64, device=taslm.pad_text.device)


@dataclass(frozen=True)
class UnconditionalPrompt(AbsPrompt):
    """Nothing but the beginning of an utterance.

    Attributes:
        starts_word: False where the first word is written without leading space.
    """

    starts_word: bool = True

    def rows(self, taslm):
        """See :meth:`AbsPrompt.rows`."""
        delay = taslm.layout.delay
        return PromptRows(
            inputs=taslm.begin(1)[0],
            text=no_text(taslm),
            current=silence(taslm, 1)[0],
            pending=silence(taslm, delay),
            starts_word=self.starts_word,
        )


@dataclass(frozen=True)
class AudioPrompt(AbsPrompt):
    """Spoken words: text with the code of every word.

    Attributes:
        text: Text ids, (N,).
        word_ids: Word of each token, (N,).
        codes: (W, Q).
    """

    text: torch.Tensor
    word_ids: torch.Tensor
    codes: torch.Tensor

    def rows(self, taslm):
        """See :meth:`AbsPrompt.rows`.

        Raises:
            ValueError: Words and codes differ in number.
        """
        device, count = taslm.pad_text.device, len(self.text)
        text, word_ids = self.text.to(device)[None], self.word_ids.to(device)[None]
        codes = self.codes.to(device)[None]  # (1, W, Q)
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
            current=read[count],
            pending=arriving[count + 1 :],
        )


@dataclass(frozen=True)
class TextPrompt(AbsPrompt):
    """Written words, to be continued by spoken ones.

    Attributes:
        text: Text ids, (N,).
        reference_compat: Published behaviour: bare text embeddings without BOS and
            without fusion, which training never shows.
    """

    text: torch.Tensor
    reference_compat: bool = False

    def rows(self, taslm):
        """See :meth:`AbsPrompt.rows`."""
        text = self.text.to(taslm.pad_text.device)
        if self.reference_compat:
            inputs = taslm.backbone.embed(text)  # (N, H)
        else:
            inputs = torch.cat([taslm.begin(1)[0], written_rows(taslm, text)])
        return PromptRows(
            inputs=inputs,
            text=text,
            current=silence(taslm, 1)[0],
            pending=silence(taslm, taslm.layout.delay),
        )


@dataclass(frozen=True)
class InstructPrompt(AbsPrompt):
    """Spoken words between written ones, e.g. the turns of a chat template.

    Attributes:
        prefix: Text ids before, written as the template has them (with its BOS).
        spoken: The spoken words.
        suffix: Text ids after.
        reference_compat: Published behaviour: the text around the spoken words is
            embedded without fusion, and the codes of the last d words are left out.
            Otherwise d rows of text padding take them in before the suffix.
    """

    prefix: torch.Tensor
    spoken: AudioPrompt
    suffix: torch.Tensor
    reference_compat: bool = False
    starts_word: bool = field(default=False)

    def rows(self, taslm):
        """See :meth:`AbsPrompt.rows`."""
        device = taslm.pad_text.device
        prefix, suffix = self.prefix.to(device), self.suffix.to(device)
        spoken = self.spoken.rows(taslm)
        if self.reference_compat:
            frame = taslm.backbone.embed(prefix), taslm.backbone.embed(suffix)
            parts = [frame[0], spoken.inputs[1:], frame[1]]
        else:
            written = prefix[1:] if prefix[:1].tolist() == [taslm.bos_id] else prefix
            parts = [taslm.begin(1)[0], written_rows(taslm, written)]
            parts += [spoken.inputs[1:], drained_rows(taslm, spoken)]
            parts.append(written_rows(taslm, suffix))
        ids = [prefix, spoken.text, suffix]
        return replace(
            spoken,
            inputs=torch.cat(parts),
            text=torch.cat(ids),
            current=silence(taslm, 1)[0],
            pending=silence(taslm, taslm.layout.delay),
            starts_word=self.starts_word,
        )


def written_rows(taslm: Taslm, text: torch.Tensor) -> torch.Tensor:
    """Rows of words without codes, fused as training's rows are before a code.

    Args:
        taslm: The model.
        text: Text ids, (N,).

    Returns:
        (N, H).
    """
    absent = taslm.code_embedding.pad.expand(len(text), -1)
    return taslm.fuse(taslm.backbone.embed(text), absent)


def drained_rows(taslm: Taslm, rows: PromptRows) -> torch.Tensor:
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
