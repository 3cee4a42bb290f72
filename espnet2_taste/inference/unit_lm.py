"""A trained spoken language model that writes units, for users.

Enters: recordings, with transcripts or without. Leaves: words with units; more of them;
speech. Designs of units (GSLM), of text and units (Moshi, Spirit LM) and of text with
units beside it (LLaMA-Omni) are used alike. ``SpokenLM.from_pretrained`` gives this
class where a package holds such a model.

Legend: B utterances, S samples, W words, U units, E speaker features.

Example:
    lm = UnitLM("exp/gslm", unit_vocoder_config="exp/unit_vocoder",
                units_config="exp/units", durations_config="exp/unit_durations")
    prompt = lm(speech, "the red dog")
    added = lm.continue_(prompt)
    result = lm.decode(added, lm.embed_speaker(speech))
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet2_taste.align.abs_aligner import AbsAligner
from espnet2_taste.inference import long_audio
from espnet2_taste.inference.inputs import (
    Speech,
    check_alignment,
    check_speakers,
    normal_text,
    waveform,
)
from espnet2_taste.inference.loading import load_spoken_lm, load_unit_vocoder
from espnet2_taste.inference.packages import constructor_arguments, pretrained_files
from espnet2_taste.inference.results import (
    DecodedSpeech,
    decoded_speech,
    utterance_names,
)
from espnet2_taste.inference.resynthesis import UnitBatch
from espnet2_taste.inference.settings import InferenceSettings, changed
from espnet2_taste.inference.unit_continuer import UnitContinuer
from espnet2_taste.inference.unit_writers import LengthenedUnits, OwnUnits
from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.slm.grid_generation import GridGenerator
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.slm.prompt_specs import PromptSpec, SpokenPrompt
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.slm.unit_durations import UnitDurationPredictor
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits
from espnet2_taste.structures import WordTiming
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.unit_exp import (
    load_speaker_embedder,
    load_unit_extractor,
    read_config,
    run_named,
)

LONGEST = 30.0
"""Seconds of audio that are embedded at once."""


@dataclass(frozen=True)
class UnitTokens:
    """An utterance as words and units.

    Attributes:
        words: W words; none where a design writes none.
        units: (U,) int64.
        timings: Start and duration of each word in seconds; none of what was not
            spoken yet.
    """

    words: tuple[str, ...]
    units: np.ndarray
    timings: tuple[WordTiming, ...] = ()

    @property
    def text(self) -> str:
        """Words joined by spaces."""
        return " ".join(self.words)


class UnitLM:
    """Continues speech with a model that writes units.

    Args:
        unit_lm_train_config: ``config.yaml`` of the experiment, or its directory.
        unit_vocoder_config: That of the unit vocoder.
        units_config: That of the unit directory.
        unit_lm_model_file: Checkpoint; beside its configuration by default.
        unit_vocoder_file: Weights; likewise.
        durations_config: That of the unit durations, for designs that leave repeated
            units out.
        recognizer: Times words and recognises what comes without text, see
            ``recognizers.choices``; that of the units by default.
        inference_config: Settings of a package; the published ones without.
        device: Where the networks run.
        sampling: Nothing: there is no unit decoder whose units could be drawn.
        options: How text and units are drawn, or single values that differ from the
            settings, by their name in ``GenerationOptions``.
        max_words: Most words of a continuation; that of the settings when None.
        min_words: Fewest words; likewise.
        seed: With the utterance's name, all the randomness.

    Raises:
        ValueError: A file is missing, or the design needs something that this class
            does not measure.
    """

    def __init__(
        self,
        unit_lm_train_config: str | Path,
        unit_vocoder_config: str | Path,
        units_config: str | Path,
        unit_lm_model_file: str | Path | None = None,
        unit_vocoder_file: str | Path | None = None,
        durations_config: str | Path | None = None,
        recognizer: str | Path | None = None,
        inference_config: str | Path | None = None,
        device: str = "cpu",
        sampling: Mapping[str, Any] | None = None,
        options: GenerationOptions | Mapping[str, Any] | None = None,
        max_words: int | None = None,
        min_words: int | None = None,
        seed: int | None = None,
    ):
        if sampling:
            raise ValueError(
                f"{', '.join(sampling)}: this model writes its units itself, they are "
                "drawn by speech_top_p and speech_temperature"
            )
        self.settings = InferenceSettings.read(inference_config)
        self.device = device
        given = {"max_words": max_words, "min_words": min_words}
        given = {key: value for key, value in given.items() if value is not None}
        limits = changed(self.settings.words, given)
        model, preprocessor = load_spoken_lm(
            unit_lm_train_config, unit_lm_model_file, device
        )
        layout = preprocessor.layout
        if lacking := sorted(layout.needs - {"units", "word_times"}):
            raise ValueError(
                f"{unit_lm_train_config}: the design reads {', '.join(lacking)}, which "
                "only sets have (units expression): continue them with slm_inference"
            )
        self._writer = _unit_writer(layout, durations_config, unit_lm_train_config)
        options = changed(self.settings.generation, options)
        options.prepare(model.core)
        generator = GridGenerator(
            model.core, options, limits, self._writer.unit_seconds
        )
        seed = self.settings.units.seed if seed is None else seed
        self.continuer = UnitContinuer(generator, preprocessor, seed)
        self.vocoder = load_unit_vocoder(unit_vocoder_config, device, unit_vocoder_file)
        self.extractor = load_unit_extractor(units_config).to(device)
        self.embedder = load_speaker_embedder(units_config).to(device)
        self._recognizer = (recognizer, units_config)

    @classmethod
    def from_pretrained(
        cls, model: str | Path, cache_dir: str | Path | None = None, **options
    ) -> "UnitLM":
        """Load a packed model; see ``TasteTokenizer.from_pretrained``."""
        files = pretrained_files(model, cache_dir)
        return cls(**constructor_arguments(cls, files, str(model)), **options)

    @property
    def tokenizer(self) -> "UnitLM":
        """What reads and speaks: the model itself."""
        return self

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that enter, Hz."""
        return self.extractor.sample_rate

    @cached_property
    def aligner(self) -> AbsAligner:
        """Times words and recognises speech.

        Raises:
            ValueError: No recognizer is given and the units belong to none.
        """
        place, units_config = self._recognizer
        conf = read_config(units_config).get("unit_extractor_conf") or {}
        if place is None and "recognizer" not in conf:
            raise ValueError(
                "no recognizer is known, which word times need: give recognizer"
            )
        options = (place,) if place else (conf["recognizer"], conf["recognizer_conf"])
        return load_recognizer(*options).aligner(self.device, LONGEST)

    def __call__(
        self, speech: Speech, text: str | None = None, name: str = "0"
    ) -> UnitTokens:
        """Read one utterance; see :meth:`encode_batch`."""
        return self.encode_batch([speech], None if text is None else [text], [name])[0]

    @torch.inference_mode()
    def encode_batch(
        self,
        speech: Sequence[Speech],
        texts: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[UnitTokens]:
        """Words, units and word times of utterances.

        Args:
            speech: B waveforms (S,) at ``sample_rate``, audio files, or pairs of
                samples and their rate.
            texts: Their transcripts; recognised when None.
            names: Utterance ids, for errors.

        Returns:
            Each as it would be alone.

        Raises:
            ValueError: A waveform or text cannot be used.
        """
        names = utterance_names(names, len(speech))
        waves = [waveform(n, wave, self.sample_rate) for n, wave in zip(names, speech)]
        if texts is None:
            texts = [" ".join(words) for words in self.aligner.transcribe(waves)]
        tokenizer = self.continuer.reader.tokenizer
        rows = [
            tuple(normal_text(name, text, self.settings.text, tokenizer).split())
            for name, text in zip(names, texts)
        ]
        aligned = self.aligner.time_words(waves, [list(words) for words in rows])
        for name, item in zip(names, aligned):
            check_alignment(name, item, 0.0)
        batch = SpeechBatch.from_arrays(dict(zip(names, waves)))
        batch = SpeechBatch(
            names, batch.speech.to(self.device), batch.lengths.to(self.device)
        )
        units, lengths = run_named(self.extractor, batch)
        return [
            UnitTokens(words, row[:length].cpu().numpy(), tuple(item.words))
            for words, row, length, item in zip(rows, units, lengths.tolist(), aligned)
        ]

    def embed_speaker(self, speech: Speech) -> np.ndarray:
        """Speaker embedding of a recording, (E,) float32."""
        wave = waveform("voice", speech, self.sample_rate)
        return long_audio.embed_long(self.embedder, wave, LONGEST).cpu().numpy()

    def continue_(self, prompt: UnitTokens | PromptSpec, name: str = "0") -> UnitTokens:
        """Continue one prompt; see :meth:`continue_batch`."""
        return self.continue_batch([prompt], [name])[0]

    def continue_batch(
        self,
        prompts: Sequence[UnitTokens | PromptSpec],
        names: Sequence[str] | None = None,
    ) -> list[UnitTokens]:
        """Continue spoken prompts; each gets what it would get alone.

        Args:
            prompts: B of :meth:`encode_batch`, or these as ``SpokenPrompt``.
            names: Utterance ids, on which the random numbers depend.

        Returns:
            The continuation of each, without the prompt.

        Raises:
            ValueError: A prompt of a kind that only TASLM knows.
        """
        names = utterance_names(names, len(prompts))
        read = [self._read(name, item) for name, item in zip(names, prompts)]
        found = self.continuer(names, read)
        units = self._writer(names, found, {})
        return [
            UnitTokens(tuple(item.text.split()), row.numpy())
            for item, row in zip(found, units)
        ]

    def _read(self, name: str, item: UnitTokens | PromptSpec) -> Utterance:
        """A prompt as its layout takes it."""
        if type(item) is SpokenPrompt:
            item = item.spoken
        if not isinstance(item, UnitTokens):
            raise ValueError(
                f"utterance '{name}': a {type(item).__name__} is no beginning that "
                "this model can continue: give speech, or use a TASLM"
            )
        times = [t for word in item.timings for t in (word.start, word.end)]
        fields = {"text": item.text, "units": item.units, "word_times": times}
        return self.continuer.reader(name, fields)

    def _refuse(self, *_, **__):
        """What only a TASLM does.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "this model writes units, not words with codes: it only continues speech, "
            "without --stream; likelihoods: espnet2_taste.bin.slm_score"
        )

    stream_words = stream_codes = say_batch = score_batch = _refuse

    def decode(
        self, tokens: UnitTokens, spembs: np.ndarray, name: str = "0"
    ) -> DecodedSpeech:
        """Speak one utterance, its speaker (E,); see :meth:`decode_batch`."""
        return self.decode_batch([tokens], np.asarray(spembs)[None], [name])[0]

    def decode_batch(
        self,
        items: Sequence[UnitTokens],
        spembs: np.ndarray,
        names: Sequence[str] | None = None,
    ) -> list[DecodedSpeech]:
        """Speak utterances; each gets what it would get alone.

        Args:
            items: B utterances.
            spembs: Their speakers, (B, E).
            names: Utterance ids, for errors.

        Raises:
            ValueError: There are no units, or a speaker is none of this vocoder.
        """
        names = utterance_names(names, len(items))
        voices = check_speakers(names, spembs, self.vocoder.spembs_size)
        units = [GeneratedUnits(torch.from_numpy(item.units)) for item in items]
        batch = UnitBatch.of(names, units, torch.from_numpy(voices))
        return decoded_speech(self.vocoder, batch, [item.text for item in items])


def _unit_writer(layout, durations_config: str | Path | None, exp: str | Path):
    """What makes the units that are spoken; see ``AbsUnitWriter``."""
    if not layout.deduplicates:
        return OwnUnits()
    if durations_config is None:
        raise ValueError(
            f"{exp} leaves repeated units out: give durations_config (units durations)"
        )
    durations = UnitDurationPredictor.load(durations_config)
    return LengthenedUnits(durations, layout.inventory.unit_rate)
