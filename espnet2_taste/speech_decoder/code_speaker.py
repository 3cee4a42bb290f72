"""Words with codes to speech, and the tables that describe it.

Enters: words and word-level codes of some utterances, and their speakers. Leaves:
waveforms on disk, and ``text``, ``codes.scp``, ``units`` and ``wav.scp`` beside them.

Legend: W words, Q codebooks, U units.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.data.arks import write_ark
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.checks import audio_file
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.speech_decoder.resynthesis import (
    UnitBatch,
    UnitGenerator,
    look_up,
    speak,
)
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


class CodeSpeaker:
    """Speaks words with codes.

    Args:
        generator: The unit decoder.
        vocoder: In evaluation mode.
    """

    def __init__(self, generator: UnitGenerator, vocoder: AbsUnitVocoder):
        self.generator = generator
        self.vocoder = vocoder

    def __call__(
        self,
        folder: Path,
        names: Sequence[str],
        items: Sequence,
        spembs: Mapping[str, np.ndarray],
    ) -> list[torch.Tensor]:
        """Speak a batch and write ``audio/<name>.wav``.

        Args:
            folder: Where the audio goes; made when absent.
            names: Utterance ids.
            items: Their words and codes, with ``text`` and ``codes`` (W, Q).
            spembs: Speaker embeddings by utterance id.

        Returns:
            Units of each utterance, (U,).
        """
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        ids = self.generator.encoder.texts(names, [item.text for item in items])
        codes = [item.codes for item in items]
        taste = self.generator.taste_from_codes(names, ids, codes)
        vectors = look_up(spembs, names, "spembs.scp")
        speakers = torch.from_numpy(np.stack(vectors))
        units = self.generator(names, ids, taste, speakers)
        batch = UnitBatch(list(names), units, speakers)
        for name, wave in zip(names, speak(self.vocoder, batch)):
            write_audio(audio_file(folder, name), wave, self.vocoder.sample_rate)
        return units

    def write_tables(self, folder: Path, results: Mapping[str, tuple]) -> None:
        """Describe what was spoken; ``wav.scp`` comes last.

        Args:
            folder: Where :meth:`__call__` wrote.
            results: Words with codes, and units, by utterance id.
        """
        codes = {name: item.codes for name, (item, _) in results.items()}
        write_ark(folder, "codes", codes)
        texts = {name: item.text for name, (item, _) in results.items()}
        write_table(folder / "text", texts)
        units = {n: " ".join(map(str, u.tolist())) for n, (_, u) in results.items()}
        write_table(folder / "units", units)
        wavs = {name: str(audio_file(folder, name)) for name in results}
        write_table(folder / "wav.scp", wavs)
