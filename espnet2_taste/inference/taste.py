"""A trained TASTE tokenizer for users: speech to words with codes, and back.

Enters: waveforms (S,) with transcripts; words with codes (W, Q) and a speaker. Leaves:
the codes; the waveform. Legend: B utterances, S samples, W words, Q codebooks, U
units, E speaker features.

Example:
    codec = TasteCodec.from_pretrained("taste.zip")
    item = codec.encode(speech, "the red dog")
    result = codec.decode(item.words, item.codes, codec.embed_speaker(speech))
    soundfile.write("again.wav", result.wave, result.sample_rate)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.inference.packages import constructor_arguments, pretrained_files
from espnet2_taste.speech_decoder.resynthesis import UnitBatch, UnitGenerator, speak
from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    LengthRule,
    TopKSampler,
)
from espnet2_taste.structures import WordCodes
from espnet2_taste.tokenizer.inference import TasteEncoder
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.unit_exp import load_speaker_embedder
from espnet2_taste.vocoder.loading import load_unit_vocoder


@dataclass(frozen=True)
class UnitSampling:
    """How units are drawn from the unit decoder.

    Attributes:
        top_k: Candidates of a unit.
        temperature: 0 takes the likeliest unit.
        min_unit_ratio: Fewest units a text position.
        max_unit_ratio: Most units a text position.
        seed: With the utterance's name, all the randomness.
    """

    top_k: int = 25
    temperature: float = 1.0
    min_unit_ratio: float = 2.0
    max_unit_ratio: float = 20.0
    seed: int = 0

    def generator(self, encoder: TasteEncoder) -> UnitGenerator:
        """The generator of these options."""
        greedy = self.temperature == 0 or self.top_k == 1
        return UnitGenerator(
            encoder,
            ArgmaxSampler() if greedy else TopKSampler(self.top_k, self.temperature),
            LengthRule(self.min_unit_ratio, self.max_unit_ratio),
            self.seed,
        )


@dataclass(frozen=True)
class DecodedSpeech:
    """Speech of one utterance.

    Attributes:
        wave: Samples, (S,) float32.
        sample_rate: Samples a second.
        units: Units it was made from, (U,) int64.
    """

    wave: np.ndarray
    sample_rate: int
    units: np.ndarray


class TasteCodec:
    """Speech and text <-> words with TASTE codes.

    Args:
        taste_train_config: ``config.yaml`` of the TASTE experiment.
        taste_model_file: Its checkpoint; beside it by default.
        unit_vocoder_config: ``config.yaml`` of the unit vocoder; without it nothing is
            spoken.
        unit_vocoder_file: Its weights; beside it by default.
        units_config: ``config.yaml`` of the unit directory; without it speakers must
            be given as embeddings.
        device: Where the networks run.
        sampling: How units are drawn.
    """

    def __init__(
        self,
        taste_train_config: str | Path,
        taste_model_file: str | Path | None = None,
        unit_vocoder_config: str | Path | None = None,
        unit_vocoder_file: str | Path | None = None,
        units_config: str | Path | None = None,
        device: str = "cpu",
        sampling: UnitSampling = UnitSampling(),
    ):
        self.encoder = TasteEncoder.from_exp(
            taste_train_config, taste_model_file, device
        )
        self.generator = sampling.generator(self.encoder)
        self.vocoder = self.embedder = None
        if unit_vocoder_config is not None:
            self.vocoder = load_unit_vocoder(
                unit_vocoder_config, device, unit_vocoder_file
            )
        if units_config is not None:
            self.embedder = load_speaker_embedder(units_config).to(device)

    @classmethod
    def from_pretrained(
        cls, model: str | Path, cache_dir: str | Path | None = None, **options
    ) -> "TasteCodec":
        """Load a packed model.

        Args:
            model: Archive, unpacked directory, URL, or name on a hub.
            cache_dir: Where archives are unpacked; ESPnet's cache by default.
            **options: Other arguments of the constructor.

        Returns:
            The model.

        Raises:
            ValueError: No package, an unsafe one, or one of another class.
        """
        files = pretrained_files(model, cache_dir)
        return cls(**constructor_arguments(cls, files, str(model)), **options)

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that enter, Hz."""
        return self.encoder.sample_rate

    def encode(self, speech: np.ndarray, text: str, name: str = "0") -> WordCodes:
        """Tokenize one utterance; see :meth:`encode_batch`."""
        return self.encode_batch([speech], [text], [name])[0]

    def encode_batch(
        self,
        speech: Sequence[np.ndarray],
        texts: Sequence[str],
        names: Sequence[str] | None = None,
    ) -> list[WordCodes]:
        """Tokenize utterances; each gets what it would get alone.

        Args:
            speech: B waveforms (S,) at ``sample_rate``.
            texts: Their transcripts in the normal form of the training.
            names: Utterance ids for errors; "0", "1", ... by default.

        Returns:
            Words and codes (W, Q) of each utterance.

        Raises:
            ValueError: A waveform or text cannot be used.
        """
        names = utterance_names(names, len(speech))
        batch = _speech_batch(names, speech)
        return self.encoder(batch, list(texts))

    @torch.no_grad()
    def embed_speaker(self, speech: np.ndarray) -> np.ndarray:
        """Speaker embedding of a waveform.

        Args:
            speech: (S,) at ``sample_rate``.

        Returns:
            (E,) float32.

        Raises:
            RuntimeError: The model was loaded without ``units_config``.
        """
        if self.embedder is None:
            raise RuntimeError("no speaker embedder is loaded: give units_config")
        batch = _speech_batch(["0"], [speech]).to(self.encoder.device)
        return self.embedder(batch.speech, batch.lengths)[0].cpu().numpy()

    def decode(
        self,
        words: Sequence[str],
        codes: np.ndarray,
        spembs: np.ndarray,
        name: str = "0",
    ) -> DecodedSpeech:
        """Speak one utterance; see :meth:`decode_batch`."""
        item = WordCodes(tuple(words), np.asarray(codes))
        return self.decode_batch([item], np.asarray(spembs)[None], [name])[0]

    def decode_batch(
        self,
        items: Sequence[WordCodes],
        spembs: np.ndarray,
        names: Sequence[str] | None = None,
    ) -> list[DecodedSpeech]:
        """Speak utterances; each gets what it would get alone.

        Args:
            items: B utterances as words (W,) with codes (W, Q).
            spembs: Their speakers, (B, E).
            names: Utterance ids, on which the random numbers depend.

        Returns:
            Waveform and units of each utterance.

        Raises:
            RuntimeError: The model was loaded without a unit vocoder.
            ValueError: Words and codes differ in number.
        """
        if self.vocoder is None:
            raise RuntimeError("no unit vocoder is loaded: give unit_vocoder_config")
        names = utterance_names(names, len(items))
        ids = self.encoder.texts(names, [item.text for item in items])
        codes = [item.codes for item in items]
        taste = self.generator.taste_from_codes(names, ids, codes)
        speakers = torch.from_numpy(np.asarray(spembs, dtype=np.float32))
        units = self.generator(names, ids, taste, speakers)
        waves = speak(self.vocoder, UnitBatch(list(names), units, speakers))
        rate = self.vocoder.sample_rate
        return [
            DecodedSpeech(wave, rate, row.cpu().numpy())
            for wave, row in zip(waves, units)
        ]


def utterance_names(names: Sequence[str] | None, count: int) -> list[str]:
    """The given ids, or "0", "1", ..."""
    return [str(index) for index in range(count)] if names is None else list(names)


def _speech_batch(names: Sequence[str], speech: Sequence[np.ndarray]) -> SpeechBatch:
    waves = {}
    for name, wave in zip(names, speech):
        wave = np.asarray(wave, dtype=np.float32)
        if wave.ndim != 1 or wave.size == 0 or not np.isfinite(wave).all():
            raise ValueError(
                f"utterance '{name}': expected a mono waveform (S,) of finite samples, "
                f"found shape {wave.shape}; mix channels down and drop empty ones"
            )
        waves[name] = wave
    return SpeechBatch.from_arrays(waves)
