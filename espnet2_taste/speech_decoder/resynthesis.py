"""From what TASTE knows of an utterance back to speech.

Enters: the sets of a dump directory and one of three sources: the speech itself (the
experiment's own TASTE vectors), stored codes, or the true units. Leaves: units and
waveforms by utterance.

Legend: B utterances, N text tokens, W words, Q codebooks, U units, S samples, E
speaker features, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.speech_decoder.reading_window import ReadingWindow
from espnet2_taste.speech_decoder.unit_sampling import (
    AbsUnitSampler,
    LengthRule,
    TopKSampler,
    UtteranceNoise,
)
from espnet2_taste.tokenizer.inference import TasteEncoder, TextBatch
from espnet2_taste.tokenizer.word_pooling import token_codes
from espnet2_taste.units.batches import speech_batches
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


@dataclass(frozen=True)
class UnitBatch:
    """Units of some utterances, ready to be spoken.

    Attributes:
        names: B utterance ids.
        units: One tensor (U,) int64 an utterance.
        spembs: (B, E).
    """

    names: list[str]
    units: list[torch.Tensor]
    spembs: torch.Tensor


def read_spembs(folder: Path) -> Mapping[str, np.ndarray]:
    """Speaker embeddings (E,) of a set.

    Raises:
        ValueError: The set has none.
    """
    return ArkTable(folder / "spembs.scp", "run extract_units (stage 5) first")


def look_up(table: Mapping, names: Sequence[str], source: str | Path) -> list:
    """Entries of these utterances.

    Raises:
        ValueError: An utterance is not in the table; it and the source are named.
    """
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(
            f"{source} lacks utterance '{missing[0]}' ({len(missing)} in all); make it "
            "again from the same set"
        )
    return [table[name] for name in names]


class AbsUnitSource(ABC):
    """Gives the units of a set, batch by batch."""

    @abstractmethod
    def batches(self, folder: Path) -> Iterator[UnitBatch]:
        """Units of every utterance of a set.

        Args:
            folder: The set.

        Yields:
            Batches that hold every utterance once.

        Raises:
            ValueError: The set lacks something.
        """


@dataclass(frozen=True)
class RecordedUnits(AbsUnitSource):
    """The true units of the recordings: what the vocoder can reach at best.

    Attributes:
        batch_size: Utterances at once.
    """

    batch_size: int = 16

    def batches(self, folder: Path) -> Iterator[UnitBatch]:
        """See ``AbsUnitSource.batches``."""
        spembs = read_spembs(folder)
        rows = {
            name: torch.tensor([int(unit) for unit in row.split()])
            for name, row in read_table(folder / "units").items()
        }
        order = sorted(rows, key=lambda name: (-len(rows[name]), name))
        for start in range(0, len(order), self.batch_size):
            names = order[start : start + self.batch_size]
            vectors = look_up(spembs, names, folder / "spembs.scp")
            units = [rows[name] for name in names]
            yield UnitBatch(names, units, torch.from_numpy(np.stack(vectors)))


@dataclass(frozen=True)
class UnitGenerator:
    """Generates units with the unit decoder of a TASTE model.

    Attributes:
        encoder: The TASTE model with its text side.
        sampler: Chooses the next unit.
        length_rule: Fewest and most units.
        seed: With its name, all an utterance's randomness depends on.
        window: Keeps the decoder near the word it says; None leaves it free.
    """

    encoder: TasteEncoder
    sampler: AbsUnitSampler = field(default_factory=TopKSampler)
    length_rule: LengthRule = field(default_factory=LengthRule)
    seed: int = 0
    window: ReadingWindow | None = None

    def __call__(
        self,
        names: Sequence[str],
        ids: TextBatch,
        taste: torch.Tensor | None,
        spembs: torch.Tensor,
    ) -> list[torch.Tensor]:
        """Generate a batch; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            ids: Their texts.
            taste: TASTE vectors (B, N, D), None for a text-only model.
            spembs: (B, E).

        Returns:
            Units of each utterance, (U,) int64.
        """
        decoder = self.encoder.model.unit_decoder
        place = None
        if self.window is not None:
            place = decoder.start_reading(self.window, ids.word_ids, ids.lengths)
        return decoder.generate(
            ids.text,
            ids.lengths,
            taste,
            spembs.to(self.encoder.device),
            sampler=self.sampler,
            noise=UtteranceNoise.from_ids(names, self.seed),
            length_rule=self.length_rule,
            place=place,
        )

    @torch.no_grad()
    def taste_from_codes(
        self, names: Sequence[str], ids: TextBatch, codes: Sequence[np.ndarray]
    ) -> torch.Tensor:
        """TASTE vectors of stored or generated codes.

        Args:
            names: B utterance ids, for errors.
            ids: Their texts.
            codes: Word-level codes (W, Q) of each utterance.

        Returns:
            (B, N, D).

        Raises:
            ValueError: Words and rows of codes differ in number.
        """
        for name, row, word_ids in zip(names, codes, ids.word_ids):
            words = int(word_ids.max()) + 1
            if len(row) != words:
                raise ValueError(
                    f"utterance '{name}': {len(row)} rows of codes for {words} words; "
                    "tokenize the set again with the text it has now (stage 9)"
                )
        rows = [torch.tensor(np.asarray(row)).long() for row in codes]
        padded = pad_sequence(rows, batch_first=True, padding_value=-1)  # (B, W, Q)
        spread = token_codes(padded.to(ids.word_ids.device), ids.word_ids)  # (B, N, Q)
        return self.encoder.model.tokenizer.quantizer.decode(spread)


@dataclass(frozen=True)
class UnitsFromSpeech(AbsUnitSource):
    """Units generated from TASTE vectors that the model takes from the speech.

    Works for each training step: text only, TASTE without codes, TASTE with codes.

    Attributes:
        generator: The unit decoder.
        batch_size: Utterances at once.
    """

    generator: UnitGenerator
    batch_size: int = 16

    def batches(self, folder: Path) -> Iterator[UnitBatch]:
        """See ``AbsUnitSource.batches``."""
        encoder = self.generator.encoder
        wavs, texts = read_table(folder / "wav.scp"), read_table(folder / "text")
        table = read_spembs(folder)
        for batch in speech_batches(
            wavs, encoder.sample_rate, self.batch_size, folder.name
        ):
            names = batch.names
            ids, taste = encoder.vectors(batch, look_up(texts, names, folder / "text"))
            vectors = look_up(table, names, folder / "spembs.scp")
            spembs = torch.from_numpy(np.stack(vectors))
            yield UnitBatch(names, self.generator(names, ids, taste, spembs), spembs)


@dataclass(frozen=True)
class UnitsFromCodes(AbsUnitSource):
    """Units generated from stored word-level codes; no speech is read.

    Attributes:
        generator: The unit decoder of the model that made the codes.
        codes_dir: Holds ``<set>/codes.scp``.
        batch_size: Utterances at once.
    """

    generator: UnitGenerator
    codes_dir: Path
    batch_size: int = 16

    def batches(self, folder: Path) -> Iterator[UnitBatch]:
        """See ``AbsUnitSource.batches``."""
        path = Path(self.codes_dir) / folder.name / "codes.scp"
        codes = ArkTable(path, "run taste_tokenize (stage 9) first")
        texts = read_table(folder / "text")
        table = read_spembs(folder)
        order = sorted(texts, key=lambda name: (-len(texts[name]), name))
        for start in range(0, len(order), self.batch_size):
            names = order[start : start + self.batch_size]
            ids = self.generator.encoder.texts(names, [texts[n] for n in names])
            taste = self.generator.taste_from_codes(
                names, ids, look_up(codes, names, path)
            )
            vectors = look_up(table, names, folder / "spembs.scp")
            spembs = torch.from_numpy(np.stack(vectors))
            yield UnitBatch(names, self.generator(names, ids, taste, spembs), spembs)


@torch.no_grad()
def speak(vocoder: AbsUnitVocoder, batch: UnitBatch) -> list[np.ndarray]:
    """Waveforms of a batch of units.

    Args:
        vocoder: In evaluation mode.
        batch: Units and speaker embeddings.

    Returns:
        Samples (S,) float32 of each utterance, at ``vocoder.sample_rate``.

    Raises:
        ValueError: An utterance has no units.
    """
    empty = [name for name, units in zip(batch.names, batch.units) if not len(units)]
    if empty:
        raise ValueError(f"utterance '{empty[0]}' has no units; raise --min_unit_ratio")
    device = next(vocoder.parameters()).device
    lengths = torch.tensor([len(units) for units in batch.units])
    units = pad_sequence(batch.units, batch_first=True)
    waves, samples = vocoder.synthesize(
        units.to(device), lengths.to(device), batch.spembs.to(device)
    )
    return [wave[:end].cpu().numpy() for wave, end in zip(waves, samples.tolist())]
