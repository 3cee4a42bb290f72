"""What was generated to speech on disk, with the tables that describe it.

Enters: the text of some utterances with their units, or with word-level codes, and
their speakers. Leaves ``audio/`` or ``audio.ark``, ``text``, ``units``, ``empty.tsv``,
for codes ``codes.scp`` and, last, ``wav.scp``. An utterance without units becomes a
short silence and is listed.

Legend: B utterances, W words, Q codebooks, U units, E speaker features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.data.arks import write_ark
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.kaldi_dir import sort_keys, write_table
from espnet2_taste.data.recording_writer import RecordingWriter
from espnet2_taste.inference.resynthesis import (
    UnitBatch,
    UnitGenerator,
    look_up_speakers,
    speak,
)
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder

SILENCE = 0.1
"""Seconds of an utterance without units."""


@dataclass(frozen=True)
class SpokenUnits:
    """Text and units of an utterance.

    Attributes:
        text: Words joined by spaces.
        units: Its units.
    """

    text: str
    units: GeneratedUnits


class Speaker:
    """Speaks what was generated: :class:`SpokenUnits`, or words with codes (W, Q).

    Args:
        vocoder: In evaluation mode.
        audio_format: One of ``recording_writer.FORMATS``.
        generator: The unit decoder, for codes.
    """

    def __init__(
        self,
        vocoder: AbsUnitVocoder,
        audio_format: str = "wav",
        generator: UnitGenerator | None = None,
    ):
        self.vocoder = vocoder
        self.audio_format = audio_format
        self.generator = generator

    def writer(self, folder: Path) -> RecordingWriter:
        """What writes the audio of a folder, which is made when absent."""
        return RecordingWriter(folder, self.vocoder.sample_rate, self.audio_format)

    def units(
        self, names: Sequence[str], items: Sequence, spembs: torch.Tensor
    ) -> list[GeneratedUnits]:
        """The units of each item, with their prosody where that is known.

        Args:
            names: B utterance ids.
            items: Of each.
            spembs: (B, E).
        """
        if self.generator is None:
            return [item.units for item in items]
        ids = self.generator.encoder.texts(names, [item.text for item in items])
        codes = [item.codes for item in items]
        taste = self.generator.taste_from_codes(names, ids, codes)
        return self.generator(names, ids, taste, spembs)

    def __call__(
        self,
        write: RecordingWriter,
        names: Sequence[str],
        items: Sequence,
        spembs: Mapping[str, np.ndarray],
    ) -> dict[str, tuple]:
        """Speak a batch and write its audio.

        Args:
            write: See :meth:`writer`.
            names: B utterance ids.
            items: Of each, with ``text``.
            spembs: Speaker embeddings (E,) by utterance id.

        Returns:
            Item, units and entry of ``wav.scp`` by utterance id.
        """
        speakers = look_up_speakers(spembs, names)
        found = self.units(names, items, speakers)
        units = [item.units for item in found]
        rate = self.vocoder.sample_rate
        waves = {name: np.zeros(int(SILENCE * rate), np.float32) for name in names}
        filled = [index for index, row in enumerate(units) if len(row)]
        if filled:
            chosen = [names[index] for index in filled]
            rows = [found[index] for index in filled]
            batch = UnitBatch.of(chosen, rows, speakers[filled])
            waves.update(zip(chosen, speak(self.vocoder, batch)))
        entries = [write(name, waves[name]) for name in names]
        return dict(zip(names, zip(items, units, entries)))

    def write_tables(self, folder: Path, results: Mapping[str, tuple]) -> None:
        """Describe what was spoken.

        Args:
            folder: Of the writer.
            results: What :meth:`__call__` gave.
        """
        if self.generator is not None:
            codes = {name: item.codes for name, (item, *_) in results.items()}
            write_ark(folder, "codes", codes)
        texts = {name: item.text for name, (item, *_) in results.items()}
        write_table(folder / "text", texts)
        units = {n: " ".join(map(str, u.tolist())) for n, (_, u, _) in results.items()}
        write_table(folder / "units", units)
        empty = [(n, "no units") for n in sort_keys(units) if not units[n]]
        write_rows(folder / "empty.tsv", ("utt", "reason"), empty)
        wavs = {name: entry for name, (*_, entry) in results.items()}
        write_table(folder / "wav.scp", wavs)
