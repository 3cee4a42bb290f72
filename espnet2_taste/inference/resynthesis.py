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
from espnet2_taste.data.ctm import read_times
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.taste_encoder import TasteEncoder, TextBatch
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    AbsUnitDecoder,
    AbsUnitStream,
    GeneratedUnits,
    UnitInputs,
    UnitSettings,
)
from espnet2_taste.speech_decoder.word_exchange import exchange_words
from espnet2_taste.structures import WordTiming
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
        word_times: Begin and end of the words of each utterance in seconds, (W, 2),
            or None where they are not known.
        prosody: Of the units of each utterance as in ``prosody.py``, (U, 3); empty
            where the vocoder is to find it.
        times: Begin and end of the units of each utterance in seconds, (U, 2); empty
            where all units are equally long.
        mixtures: What is spoken in the place of the units of each utterance, (U, K);
            empty where nothing is mixed.
    """

    names: list[str]
    units: list[torch.Tensor]
    spembs: torch.Tensor
    word_times: tuple[torch.Tensor | None, ...] = ()
    prosody: tuple[torch.Tensor, ...] = ()
    times: tuple[torch.Tensor, ...] = ()
    mixtures: tuple[torch.Tensor, ...] = ()

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        generated: Sequence[GeneratedUnits],
        spembs: torch.Tensor,
    ) -> "UnitBatch":
        """A batch of generated units."""
        return cls(
            names=list(names),
            units=[item.units for item in generated],
            spembs=spembs,
            word_times=tuple(item.word_times for item in generated),
            prosody=tuple(x.prosody for x in generated if x.prosody is not None),
            times=tuple(x.times for x in generated if x.times is not None),
            mixtures=tuple(x.mixture for x in generated if x.mixture is not None),
        )

    def timings(self, texts: Mapping[str, str]) -> dict[str, tuple[WordTiming, ...]]:
        """Words with their times, of the utterances where those are known.

        Args:
            texts: Transcript of each utterance.

        Returns:
            By utterance id.
        """
        known = {n: t for n, t in zip(self.names, self.word_times) if t is not None}
        return {
            name: tuple(WordTiming.of_words(texts[name].split(), times.tolist()))
            for name, times in known.items()
        }


def read_spembs(folder: Path) -> Mapping[str, np.ndarray]:
    """Speaker embeddings (E,) of a set.

    Raises:
        ValueError: The set has none.
    """
    return ArkTable(folder / "spembs.scp", "run units extract (stage 5) first")


def padded_times(
    table: Mapping[str, np.ndarray] | None, names: Sequence[str], device: torch.device
) -> torch.Tensor | None:
    """Begin and end of the words of a batch, (B, W, 2), from ``ctm.read_times``."""
    if table is None:
        return None
    rows = look_up(table, names, "the file of word times")
    return pad_sequence([torch.from_numpy(row).float() for row in rows], True).to(
        device
    )


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


def look_up_speakers(
    spembs: Mapping[str, np.ndarray],
    names: Sequence[str],
    source: str | Path = "spembs.scp",
) -> torch.Tensor:
    """Speaker embeddings of these utterances, (B, E); see :func:`look_up`."""
    return torch.from_numpy(np.stack(look_up(spembs, names, source)))


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
            units = [rows[name] for name in names]
            speakers = look_up_speakers(spembs, names, folder / "spembs.scp")
            yield UnitBatch(names, units, speakers)


@dataclass(frozen=True)
class UnitGenerator:
    """Generates units with the unit decoder of a TASTE model.

    Attributes:
        encoder: The TASTE model with its text side.
        settings: How units are chosen.
        seed: With its name, all an utterance's randomness depends on.
        exchange: Give each word the vector of another word of its utterance, to see
            what vectors are worth.
        decoder: The unit decoder with other weights; None: the model's own.
    """

    encoder: TasteEncoder
    settings: UnitSettings = field(default_factory=UnitSettings)
    seed: int = 0
    exchange: bool = False
    decoder: AbsUnitDecoder | None = None

    @property
    def unit_decoder(self) -> AbsUnitDecoder:
        """What generates."""
        return self.decoder or self.encoder.model.unit_decoder

    def __call__(
        self,
        names: Sequence[str],
        ids: TextBatch,
        taste: torch.Tensor | None,
        spembs: torch.Tensor,
        word_times: torch.Tensor | None = None,
    ) -> list[GeneratedUnits]:
        """Generate a batch; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            ids: Their texts.
            taste: TASTE vectors (B, N, D), None for a text-only model.
            spembs: (B, E).
            word_times: Begin and end of each word in seconds, (B, W, 2), that a
                decoder which predicts durations is to keep to.

        Returns:
            Units of each utterance.
        """
        if self.exchange and taste is not None:
            taste = exchange_words(taste, ids.word_ids, names, self.seed)
        inputs = self.inputs(ids, taste, spembs, word_times)
        generate = self.unit_decoder.generate_units
        return generate(inputs, names, self.seed, self.settings)

    def stream(self, name: str) -> AbsUnitStream:
        """Begin an utterance whose words arrive one after the other."""
        return self.unit_decoder.stream(name, self.seed, self.settings)

    def inputs(
        self,
        ids: TextBatch,
        taste: torch.Tensor | None,
        spembs: torch.Tensor,
        word_times: torch.Tensor | None = None,
    ) -> UnitInputs:
        """What the unit decoder reads; arguments are those of :meth:`__call__`."""
        return UnitInputs(
            text=ids.text,
            text_lengths=ids.lengths,
            word_ids=ids.word_ids,
            taste=taste,
            spembs=spembs.to(self.encoder.device),
            word_times=word_times,
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
class AbsGeneratedUnits(AbsUnitSource):
    """Units that a unit decoder makes of texts and TASTE vectors.

    Attributes:
        generator: The unit decoder.
        batch_size: Utterances at once.
        given_times: File of the set with word times that predicted ones give way to.
    """

    generator: UnitGenerator
    batch_size: int = 16
    given_times: str | None = None

    @abstractmethod
    def read(
        self, folder: Path, texts: Mapping[str, str]
    ) -> Iterator[tuple[list[str], TextBatch, torch.Tensor | None]]:
        """What units are made of.

        Args:
            folder: The set.
            texts: Its transcripts.

        Yields:
            B utterance ids, their texts, TASTE vectors (B, N, D) or None.
        """

    def batches(self, folder):
        """See :meth:`AbsUnitSource.batches`."""
        table, given = read_spembs(folder), None
        if self.given_times:
            given = read_times(folder / self.given_times)
        for names, ids, taste in self.read(folder, read_table(folder / "text")):
            times = padded_times(given, names, ids.text.device)
            spembs = look_up_speakers(table, names, folder / "spembs.scp")
            units = self.generator(names, ids, taste, spembs, times)
            yield UnitBatch.of(names, units, spembs)


@dataclass(frozen=True)
class UnitsFromSpeech(AbsGeneratedUnits):
    """Units generated from TASTE vectors that the model takes from the speech.

    Works for each training step: text only, TASTE without codes, TASTE with codes.
    """

    def read(self, folder, texts):
        """See :meth:`AbsGeneratedUnits.read`."""
        encoder, wavs = self.generator.encoder, read_table(folder / "wav.scp")
        options = (encoder.sample_rate, self.batch_size, folder.name)
        for batch in speech_batches(wavs, *options):
            rows = look_up(texts, batch.names, folder / "text")
            yield batch.names, *encoder.vectors(batch, rows)


@dataclass(frozen=True)
class UnitsFromCodes(AbsGeneratedUnits):
    """Units generated from stored word-level codes of the same model, without speech.

    Attributes:
        codes_dir: Holds ``<set>/codes.scp``.
    """

    codes_dir: Path = field(kw_only=True)

    def read(self, folder, texts):
        """See :meth:`AbsGeneratedUnits.read`."""
        path = self.codes_dir / folder.name / "codes.scp"
        codes = ArkTable(path, "run taste_tokenize (stage 9) first")
        order = sorted(texts, key=lambda name: (-len(texts[name]), name))
        for start in range(0, len(order), self.batch_size):
            names = order[start : start + self.batch_size]
            ids = self.generator.encoder.texts(names, [texts[n] for n in names])
            rows = look_up(codes, names, path)
            yield names, ids, self.generator.taste_from_codes(names, ids, rows)


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
    units = pad_sequence(batch.mixtures or batch.units, batch_first=True)
    prosody, times = (
        pad_sequence(rows, batch_first=True).to(device) if rows else None
        for rows in (batch.prosody, batch.times)
    )
    waves, samples = vocoder.synthesize(
        units.to(device), lengths.to(device), batch.spembs.to(device), prosody, times
    )
    return [wave[:end].cpu().numpy() for wave, end in zip(waves, samples.tolist())]
