"""Units to speech on disk, with the tables that describe it.

Enters: what a design says and the units of it. Leaves ``audio/``, ``text``, ``units``,
``empty.tsv`` and, last, ``wav.scp``. An utterance in which nothing was said becomes a
short silence and is listed.

Legend: B utterances, U units, E speaker features.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.checks import audio_file
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.kaldi_dir import sort_keys, write_table
from espnet2_taste.speech_decoder.resynthesis import UnitBatch, speak
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder

SILENCE = 0.1
"""Seconds of an utterance without units."""


class UnitSpeaker:
    """Speaks units.

    Args:
        vocoder: In evaluation mode.
    """

    def __init__(self, vocoder: AbsUnitVocoder):
        self.vocoder = vocoder

    def __call__(
        self,
        folder: Path,
        names: Sequence[str],
        units: Sequence[torch.Tensor],
        spembs: torch.Tensor,
    ) -> None:
        """Speak a batch and write ``audio/<name>.wav``.

        Args:
            folder: Where the audio goes; made when absent.
            names: B utterance ids.
            units: Units of each, (U,).
            spembs: (B, E).
        """
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        rate = self.vocoder.sample_rate
        waves = {name: np.zeros(int(SILENCE * rate), np.float32) for name in names}
        said = [index for index, row in enumerate(units) if len(row)]
        if said:
            chosen = [names[index] for index in said]
            batch = UnitBatch(chosen, [units[index] for index in said], spembs[said])
            waves.update(zip(chosen, speak(self.vocoder, batch)))
        for name, wave in waves.items():
            write_audio(audio_file(folder, name), wave, rate)

    @staticmethod
    def write_tables(
        folder: Path, texts: Mapping[str, str], units: Mapping[str, torch.Tensor]
    ) -> None:
        """Describe what was spoken.

        Args:
            folder: Where :meth:`__call__` wrote.
            texts: By utterance id.
            units: (U,) by utterance id.
        """
        write_table(folder / "text", texts)
        rows = {n: " ".join(map(str, row.tolist())) for n, row in units.items()}
        write_table(folder / "units", rows)
        empty = [name for name in sort_keys(units) if not len(units[name])]
        write_rows(
            folder / "empty.tsv", ("utt", "reason"), [(n, "no units") for n in empty]
        )
        wavs = {name: str(audio_file(folder, name)) for name in units}
        write_table(folder / "wav.scp", wavs)
