"""A trained spoken language model for users: continue and score speech, say text.

Enters: utterances as ``SpokenLM.tokenizer`` reads them, or text. Leaves: more of them,
for the same tokenizer to speak; log-likelihoods. Those of TASLM are words with codes
(W, Q); designs that write units (GSLM), or text with units (Moshi, Spirit LM,
LLaMA-Omni), have words and units. Legend: B utterances, W words, Q codebooks, E speaker
features.

Example:
    lm = SpokenLM.from_pretrained("taslm.zip")
    prompt = lm.tokenizer(speech, "the red dog")
    added = lm.continue_(prompt)
    voice = lm.tokenizer.embed_speaker(speech)
    result = lm.tokenizer.decode(added, voice)
    tokens, result = lm.say("the red dog runs home", voice, prompt)
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_taste.inference.continuer import AbsContinuer, TaslmContinuer
from espnet2_taste.inference.inputs import check_codes
from espnet2_taste.inference.loading import load_spoken_lm
from espnet2_taste.inference.packages import Pretrained
from espnet2_taste.inference.results import (
    DecodedSpeech,
    SpeechPiece,
    SpeechScore,
    SpeechTokens,
    StreamedWord,
    UnitTokens,
    utterance_names,
)
from espnet2_taste.inference.scorer import Scorer
from espnet2_taste.inference.settings import InferenceSettings, changed
from espnet2_taste.inference.taste_tokenizer import TasteTokenizer, UnitSampling
from espnet2_taste.inference.unit_continuer import UnitContinuer
from espnet2_taste.inference.unit_tokenizer import UnitTokenizer
from espnet2_taste.inference.unit_writers import unit_writer
from espnet2_taste.slm.prompt_specs import EmptyPrompt, PromptSpec, WrittenPrompt
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.structures import WordCodes

Tokens = WordCodes | UnitTokens


class SpokenLM(Pretrained):
    """Continues and scores speech, with a model of any design.

    The language model is loaded when it is first used, once for continuing, where its
    adapters are merged into its weights, and once for scoring, where they are not.

    Args:
        slm_train_config: ``config.yaml`` of the experiment.
        slm_model_file: Its checkpoint; beside it by default.
        taste_train_config: See ``TasteTokenizer``; of TASLM. Without it and without
            ``units_config`` there is no ``tokenizer``.
        taste_model_file: See ``TasteTokenizer``.
        unit_vocoder_config: See ``TasteTokenizer``.
        unit_vocoder_file: See ``TasteTokenizer``.
        units_config: See ``TasteTokenizer``; without TASTE, of a ``UnitTokenizer``.
        durations_config: That of the unit durations, for designs that leave repeated
            units out.
        recognizer: See ``TasteTokenizer``.
        inference_config: See ``TasteTokenizer``.
        device: Where the networks run.
        sampling: See ``TasteTokenizer``.
        options: How text and codes or units are drawn, or single values that differ
            from the settings, by their name in ``GenerationOptions``.
        max_words: Most words of a continuation; that of the settings when None.
        min_words: Fewest words; likewise.
        seed: With the utterance's name, all the randomness of text and speech.

    Raises:
        ValueError: A file is missing, or a design needs something that is not given.
    """

    def __init__(
        self,
        slm_train_config: str | Path,
        slm_model_file: str | Path | None = None,
        taste_train_config: str | Path | None = None,
        taste_model_file: str | Path | None = None,
        unit_vocoder_config: str | Path | None = None,
        unit_vocoder_file: str | Path | None = None,
        units_config: str | Path | None = None,
        durations_config: str | Path | None = None,
        recognizer: str | Path | None = None,
        inference_config: str | Path | None = None,
        device: str = "cpu",
        sampling: UnitSampling | Mapping[str, Any] | None = None,
        options: GenerationOptions | Mapping[str, Any] | None = None,
        max_words: int | None = None,
        min_words: int | None = None,
        seed: int | None = None,
    ):
        self._place = (slm_train_config, slm_model_file, device)
        self._durations = durations_config
        self.settings = InferenceSettings.read(inference_config)
        self._options = changed(self.settings.generation, options)
        limits = {"max_words": max_words, "min_words": min_words}
        given = {key: value for key, value in limits.items() if value is not None}
        self._words = changed(self.settings.words, given)
        self._seed = self.settings.units.seed if seed is None else seed
        self.tokenizer: TasteTokenizer | UnitTokenizer | None = None
        vocoder = (unit_vocoder_config, unit_vocoder_file)
        if taste_train_config is not None:
            self.tokenizer = TasteTokenizer(
                taste_train_config,
                taste_model_file,
                *vocoder,
                units_config,
                recognizer,
                inference_config,
                device,
                sampling,
            )
        elif sampling:
            raise ValueError(
                f"{', '.join(sampling)}: this model writes its units itself, they are "
                "drawn by speech_top_p and speech_temperature"
            )
        elif units_config is not None:
            side = (self.continuer.tokenizer, self.settings, units_config)
            self.tokenizer = UnitTokenizer(*side, *vocoder, recognizer, device)

    @cached_property
    def continuer(self) -> AbsContinuer:
        """The model as it continues."""
        exp, limits = self._place[0], self._words
        model, preprocessor = load_spoken_lm(*self._place)
        if model.core.quantizer is not None:
            given = (limits, self._options, self._seed)
            return TaslmContinuer(model, preprocessor, *given)
        layout = preprocessor.layout
        if lacking := sorted(layout.needs - {"units", "word_times"}):
            raise ValueError(
                f"{exp}: the design reads {', '.join(lacking)}, which only sets have "
                "(units expression): continue them with slm_inference"
            )
        writer = unit_writer(layout, self._durations, "durations_config")
        given = (limits, self._options, writer, self._seed)
        return UnitContinuer(model, preprocessor, *given)

    @cached_property
    def scorer(self) -> Scorer:
        """The model as it scores."""
        return Scorer(*load_spoken_lm(*self._place))

    def continue_(self, prompt: PromptSpec | Tokens, name: str = "0") -> Tokens:
        """Continue one prompt; see :meth:`continue_batch`."""
        return self.continue_batch([prompt], [name])[0]

    def continue_batch(
        self,
        prompts: Sequence[PromptSpec | Tokens],
        names: Sequence[str] | None = None,
    ) -> list[Tokens]:
        """Continue prompts; each gets what it would get alone.

        Args:
            prompts: B spoken prompts as ``tokenizer`` reads them or, for TASLM, words
                (W,) with codes (W, Q) or anything of
                :mod:`espnet2_taste.slm.prompt_specs`: written words, a spoken turn to
                be answered, nothing.
            names: Utterance ids, on which the random numbers depend.

        Returns:
            The continuation of each, without the prompt.

        Raises:
            ValueError: A prompt is none of this model.
        """
        names = utterance_names(names, len(prompts))
        specs = [self._checked(name, item) for name, item in zip(names, prompts)]
        return self.continuer(names, specs)

    @property
    def digest(self) -> str:
        """Which model its codes belong to; see ``inputs.model_digest``."""
        return self._taslm.digest

    @property
    def _taslm(self) -> TaslmContinuer:
        """What only words with codes allow.

        Raises:
            ValueError: The model writes units.
        """
        if not isinstance(self.continuer, TaslmContinuer):
            raise ValueError(
                "this model writes units, not words with codes: it continues and "
                "scores speech, without --stream"
            )
        return self.continuer

    def _checked(self, name: str, item: PromptSpec | Tokens):
        """A prompt of this model, or of normalised words."""
        return self.continuer.checked(name, item, self.settings.text)

    def stream(
        self, prompt: WordCodes, spembs: np.ndarray | None = None, name: str = "0"
    ) -> Iterator[StreamedWord | DecodedSpeech]:
        """Continue one prompt word by word, then speak.

        Args:
            prompt: Words (W,) with codes (W, Q).
            spembs: Speaker (E,) that speaks the continuation; None for no speech.
            name: Utterance id, on which the random numbers depend.

        Yields:
            Each word with its codes (Q,) as soon as both are known, the same as
            :meth:`continue_` gives; at the end, with a speaker, the speech.
        """
        words, codes = [], []
        for word in self.stream_words(prompt, name):
            words.append(word.word)
            codes.append(word.codes)
            yield word
        if spembs is not None and words:
            tokens = SpeechTokens(tuple(words), np.stack(codes), model=self.digest)
            yield self.tokenizer.decode(tokens, spembs, name)

    def stream_words(
        self, prompt: PromptSpec | WordCodes, name: str = "0"
    ) -> Iterator[StreamedWord]:
        """Continue one prompt word by word; see :meth:`continue_batch`."""
        return self._taslm.stream(name, self._checked(name, prompt))

    def stream_codes(
        self, text: str, style: WordCodes | None = None, name: str = "0"
    ) -> Iterator[StreamedWord]:
        """Read one text word by word; see :meth:`say_batch`.

        ``TasteTokenizer.stream`` speaks the words while they arrive.
        """
        taslm, words = self._taslm, self._speakable(name, text)
        return taslm.stream_codes(name, self._style(name, style), words)

    def stream_speech(
        self, prompt: WordCodes, spembs: np.ndarray, name: str = "0"
    ) -> Iterator[SpeechPiece]:
        """Continue one prompt and speak while it is written.

        Args:
            prompt: Words (W,) with codes (W, Q).
            spembs: Speaker (E,) that speaks the continuation.
            name: Utterance id, on which the random numbers depend.

        Yields:
            Pieces of the speech of what :meth:`continue_` gives; see
            ``TasteTokenizer.stream``.

        Raises:
            RuntimeError: The model was loaded without TASTE or its unit vocoder.
            ValueError: Prompt or speaker is none of this model.
        """
        words = self.stream(prompt, name=name)
        yield from self._taste().stream(words, spembs, name)

    def say(
        self,
        text: str,
        spembs: np.ndarray,
        style: WordCodes | None = None,
        name: str = "0",
    ) -> tuple[SpeechTokens, DecodedSpeech]:
        """Say one text, its speaker (E,); see :meth:`say_batch`."""
        return self.say_batch([text], np.asarray(spembs)[None], [style], [name])[0]

    def say_batch(
        self,
        texts: Sequence[str],
        spembs: np.ndarray,
        styles: Sequence[WordCodes | None] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[tuple[SpeechTokens, DecodedSpeech]]:
        """Say texts: the model reads the words and generates their codes only.

        The limits of words are those of continuations and do not hold here.

        Args:
            texts: B texts, as they are written; normalised as in training.
            spembs: Who says them, (B, E).
            styles: Speech (W words, codes (W, Q)) that each text follows, so that it is
                said in the same manner; None, in place of one or all, for no style.
            names: Utterance ids, on which the random numbers depend.

        Returns:
            The words of each text with their codes, and its speech.

        Raises:
            RuntimeError: The model was loaded without TASTE or its unit vocoder.
            ValueError: A text has no words, or a word that a vocabulary cannot write;
                a style or speaker is none of this model.
        """
        taslm, taste = self._taslm, self._taste()
        names = utterance_names(names, len(texts))
        styles = [None] * len(texts) if styles is None else styles
        words = [self._speakable(name, text) for name, text in zip(names, texts)]
        begun = [self._style(*row) for row in zip(names, styles, strict=True)]
        tokens = taslm.say(names, begun, words)
        return list(zip(tokens, taste.decode_batch(tokens, spembs, names)))

    def _style(self, name: str, style: WordCodes | None) -> PromptSpec:
        """What the words of a text follow."""
        if style is None:
            return EmptyPrompt()
        return self._checked(name, style)

    def _taste(self) -> TasteTokenizer:
        if self.tokenizer is None:
            raise RuntimeError("no TASTE model is loaded: give taste_train_config")
        return self.tokenizer

    def _speakable(self, name: str, text: str) -> str:
        """Normalised words that both vocabularies can write."""
        written = self._checked(name, WrittenPrompt(tuple(text.split())))
        return self._taste().normalize(" ".join(written.words), name)

    def score(self, tokens: Tokens, name: str = "0") -> SpeechScore:
        """Score one utterance; see :meth:`score_batch`."""
        return self.score_batch([tokens], [name])[0]

    def score_batch(
        self, items: Sequence[Tokens], names: Sequence[str] | None = None
    ) -> list[SpeechScore]:
        """How likely utterances are; padding changes no score.

        Args:
            items: B utterances as ``tokenizer`` reads them, with word times if they
                have units.
            names: Utterance ids, for errors.

        Returns:
            The scores of each utterance.

        Raises:
            ValueError: An utterance is none of this model.
        """
        names, core = utterance_names(names, len(items)), self.scorer.core
        for name, item in zip(names, items):
            if core.quantizer is not None:
                check_codes(name, item, core.quantizer)
            elif not isinstance(item, UnitTokens):
                raise ValueError(f"utterance '{name}': expected words with units")
        return [
            SpeechScore(
                text=row["text_sum"],
                speech=row["speech_sum"],
                both=row["both_sum"],
                text_mean=row["text_mean"],
                speech_mean=row["speech_mean"],
                both_mean=row["both_mean"],
                base_text=row.get("base_text_sum", math.nan),
                speech_nats=(nats := row.get("speech_nats_sum", row["speech_sum"])),
                both_nats=row["text_sum"] + nats,
                speech_unit=core.speech_unit,
            )
            for row in self.scorer(names, [item.fields for item in items])
        ]
