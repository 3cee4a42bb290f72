"""Speech to words and units, and back: what spoken LMs that write units need.

Enters: recordings, with transcripts or without; units and a speaker. Leaves: words with
units; speech. Legend: B utterances, S samples, W words, U units, E speaker features.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from espnet2_taste.align.abs_aligner import AbsAligner
from espnet2_taste.inference.inputs import check_speakers
from espnet2_taste.inference.loading import load_unit_vocoder
from espnet2_taste.inference.results import (
    UnitTokens,
    decoded_speech,
    utterance_names,
)
from espnet2_taste.inference.resynthesis import UnitBatch
from espnet2_taste.inference.settings import InferenceSettings
from espnet2_taste.inference.speech_tokenizer import AbsSpeechTokenizer
from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.unit_exp import (
    load_speaker_embedder,
    load_unit_extractor,
    read_config,
    run_named,
)


class UnitTokenizer(AbsSpeechTokenizer):
    """Speech and text <-> words and units.

    Args:
        text_tokenizer: Of the spoken LM.
        settings: Of the package.
        units_config: ``config.yaml`` of the unit directory, or the directory.
        unit_vocoder_config: That of the unit vocoder; without it nothing is spoken.
        unit_vocoder_file: Its weights; beside it by default.
        recognizer: Times words and recognises what comes without text, see
            ``recognizers.choices``; that of the units by default.
        device: Where the networks run.
    """

    def __init__(
        self,
        text_tokenizer: AbsTextTokenizer,
        settings: InferenceSettings,
        units_config: str | Path,
        unit_vocoder_config: str | Path | None = None,
        unit_vocoder_file: str | Path | None = None,
        recognizer: str | Path | None = None,
        device: str = "cpu",
    ):
        self.text_tokenizer = text_tokenizer
        self.settings = settings
        self.extractor = load_unit_extractor(units_config).to(device)
        self.embedder = load_speaker_embedder(units_config).to(device)
        if unit_vocoder_config is not None:
            self.vocoder = load_unit_vocoder(
                unit_vocoder_config, device, unit_vocoder_file
            )
        self._place = (recognizer, units_config, device)

    @property
    def sample_rate(self):
        """See :attr:`AbsSpeechTokenizer.sample_rate`."""
        return self.extractor.sample_rate

    @cached_property
    def aligner(self) -> AbsAligner:
        """Times words and recognises speech.

        Raises:
            ValueError: No recognizer is given and the units belong to none.
        """
        place, units_config, device = self._place
        conf = read_config(units_config).get("unit_extractor_conf") or {}
        if place is None and "recognizer" not in conf:
            raise ValueError(
                "no recognizer is known, which word times need: give recognizer"
            )
        options = (place,) if place else (conf["recognizer"], conf["recognizer_conf"])
        return load_recognizer(*options).aligner(device, self.window)

    @torch.inference_mode()
    def encode_batch(self, speech, texts=None, names=None) -> list[UnitTokens]:
        """See :meth:`AbsSpeechTokenizer.encode_batch`: words, units and word times."""
        names = utterance_names(names, len(speech))
        waves, texts, doubtful = self._read(speech, texts, names)
        aligned = self._align(waves, texts, names, doubtful)
        batch = SpeechBatch.from_arrays(dict(zip(names, waves)))
        units, lengths = run_named(self.extractor, batch.to(self._place[-1]))
        return [
            UnitTokens(
                tuple(text.split()), row[:length].cpu().numpy(), tuple(item.words)
            )
            for text, row, length, item in zip(texts, units, lengths.tolist(), aligned)
        ]

    def decode_batch(self, items: Sequence[UnitTokens], spembs, names=None):
        """See :meth:`AbsSpeechTokenizer.decode_batch`.

        Raises:
            RuntimeError: The model was loaded without a unit vocoder.
        """
        self._check_vocoder()
        names = utterance_names(names, len(items))
        voices = check_speakers(names, spembs, self.vocoder.spembs_size)
        units = [GeneratedUnits(torch.from_numpy(item.units)) for item in items]
        batch = UnitBatch.of(names, units, torch.from_numpy(voices))
        return decoded_speech(self.vocoder, batch, [item.text for item in items])
