"""The one loop in which every spoken LM continues prompts: batched and cached.

Enters: embedded prompts of unequal length. Leaves: row after row of those that have not
ended, each the same as its prompt alone without a cache would give. Prompts are padded
on the right for the first pass, where causality hides the padding; later rows mask it.
What a row consists of, and when a prompt has ended, a design says in a subclass.

Legend: B prompts under way, P rows of a prompt, N text tokens, H hidden size.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.slm.abs_core import AbsCore
from espnet2_taste.slm.guidance import TextGuide
from espnet2_taste.slm.row_reader import RowReader, States
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams


@dataclass
class PromptBatch:
    """Prompts under way; subclasses add tensors (B, ...), named in ``columns``.

    Attributes:
        items: What a design knows of each, B of them.
        streams: Random streams.
        reader: The text LM, with what it keeps of earlier rows.
        guide: The base LM.
        last: Hidden states asked for, then the last one, each (B, H).
    """

    items: list
    streams: UniformStreams
    reader: RowReader
    guide: TextGuide
    last: States
    columns = ()

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices on the model's device."""
        self.items = [self.items[row] for row in kept.tolist()]
        self.reader.select(kept)
        self.guide.select(kept)
        self.streams.select(kept.cpu())
        for name in self.columns:
            setattr(self, name, getattr(self, name)[kept])


class AbsGenerator(ABC):
    """Continues prompts.

    Args:
        core: The model in evaluation mode; see ``GenerationOptions.prepare``.
        options: How to sample.
        text_size: Ids of the text LM in the logits of text, 0 for a design that writes
            none and takes no guidance.
        end_id: The one that ends text.

    Attributes:
        layers: Hidden states that :meth:`choose` needs beside the last one.
    """

    layers: Sequence[int] = ()

    def __init__(
        self, core: AbsCore, options: GenerationOptions, text_size: int, end_id: int
    ):
        self.core = core
        self.text_sampler = options.text_sampler()
        self.speech_sampler = options.speech_sampler()
        share = options.guidance if text_size else 0.0
        self.mixture = core.mixture(share, text_size, end_id)
        self.device = next(core.parameters()).device

    def read_prompts(
        self,
        prompts: Sequence[torch.Tensor],
        texts: Sequence[torch.Tensor],
        items: list,
        streams: UniformStreams,
    ) -> dict[str, Any]:
        """Run the model over prompts.

        Args:
            prompts: Embedded rows, B times (P, H).
            texts: Their text alone, B times (N,).
            items: What the design knows of each.
            streams: One stream of random numbers a prompt.

        Returns:
            The fields of a ``PromptBatch``.
        """
        backbone = self.core.backbone
        reader = RowReader(backbone, self.layers)
        guide = TextGuide(backbone, self.core.bos_id, self.mixture)
        lengths = torch.tensor([len(rows) for rows in prompts], device=self.device)
        backbone.check_positions(int(lengths.max()))
        last = reader.start(pad_sequence(list(prompts), batch_first=True), lengths)
        guide.start(texts)
        return {
            "items": items,
            "streams": streams,
            "reader": reader,
            "guide": guide,
            "last": last,
        }

    def write(self, batch: PromptBatch) -> Iterator[Any]:
        """Write row after row.

        Args:
            batch: At least one prompt.

        Yields:
            What :meth:`choose` gives, until the last prompt has ended.
        """
        while True:
            row = self.choose(batch)
            yield row
            going = torch.tensor(self.going(batch, row))
            if not going.any():
                return
            inputs = self.embed(batch, row)
            if self.mixture.share:
                batch.guide.read(*self.written_text(row))
            if not going.all():
                kept = going.nonzero()[:, 0].to(inputs.device)
                inputs = inputs[kept]
                batch.select(kept)
            batch.last = batch.reader.read(inputs)

    @abstractmethod
    def choose(self, batch: PromptBatch) -> Any:
        """Choose the next row of every prompt."""

    @abstractmethod
    def going(self, batch: PromptBatch, row: Any) -> list[bool]:
        """Which prompts have not ended with a row, B of them."""

    @abstractmethod
    def embed(self, batch: PromptBatch, row: Any) -> torch.Tensor:
        """What the LM reads of a row, (B, H)."""

    @abstractmethod
    def written_text(self, row: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Text ids of a row, (B,), and which of them are text, (B,) bool."""
