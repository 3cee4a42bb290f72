"""A trained spoken language model for users: continue and score speech.

Enters: words with codes (W, Q) of utterances. Leaves: more words with codes, to be
spoken by ``SpokenLM.codec``; log-likelihoods. Legend: B utterances, W words, Q
codebooks.

Example:
    lm = SpokenLM.from_pretrained("taslm.zip")
    prompt = lm.codec.encode(speech, "the red dog")
    added = lm.continue_(prompt.words, prompt.codes)
    voice = lm.codec.embed_speaker(speech)
    result = lm.codec.decode(added.words, added.codes, voice)
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from espnet2_taste.inference.packages import constructor_arguments, pretrained_files
from espnet2_taste.inference.taste import TasteCodec, UnitSampling, utterance_names
from espnet2_taste.slm.generation import GenerationOptions
from espnet2_taste.slm.inference import TaslmContinuer, TaslmScorer, load_taslm_exp
from espnet2_taste.slm.stepper import StopRules
from espnet2_taste.structures import WordCodes


class SpokenLM:
    """Continues and scores words with TASTE codes.

    The language model is loaded when it is first used, once for continuing, where its
    adapters are merged into its weights, and once for scoring, where they are not.

    Args:
        taslm_train_config: ``config.yaml`` of the TASLM experiment.
        taslm_model_file: Its checkpoint; beside it by default.
        taste_train_config: See ``TasteCodec``; without it there is no ``codec``.
        taste_model_file: See ``TasteCodec``.
        unit_vocoder_config: See ``TasteCodec``.
        unit_vocoder_file: See ``TasteCodec``.
        units_config: See ``TasteCodec``.
        device: Where the networks run.
        sampling: How units are drawn.
        options: How text and codes are drawn.
        max_words: Most words of a continuation.
        min_words: Fewest words.
        seed: With the utterance's name, all the randomness of text and codes.
    """

    def __init__(
        self,
        taslm_train_config: str | Path,
        taslm_model_file: str | Path | None = None,
        taste_train_config: str | Path | None = None,
        taste_model_file: str | Path | None = None,
        unit_vocoder_config: str | Path | None = None,
        unit_vocoder_file: str | Path | None = None,
        units_config: str | Path | None = None,
        device: str = "cpu",
        sampling: UnitSampling = UnitSampling(),
        options: GenerationOptions = GenerationOptions(),
        max_words: int = 16,
        min_words: int = 1,
        seed: int = 0,
    ):
        self._place = (taslm_train_config, taslm_model_file, device)
        self._options = options
        self._words = {"max_words": max_words, "min_words": min_words}
        self._seed = seed
        self.codec = None
        if taste_train_config is not None:
            self.codec = TasteCodec(
                taste_train_config,
                taste_model_file,
                unit_vocoder_config,
                unit_vocoder_file,
                units_config,
                device,
                sampling,
            )

    @classmethod
    def from_pretrained(
        cls, model: str | Path, cache_dir: str | Path | None = None, **options
    ) -> "SpokenLM":
        """Load a packed model; see ``TasteCodec.from_pretrained``."""
        files = pretrained_files(model, cache_dir)
        return cls(**constructor_arguments(cls, files, str(model)), **options)

    @cached_property
    def continuer(self) -> TaslmContinuer:
        """The model as it continues."""
        model, preprocessor = load_taslm_exp(*self._place)
        rules = StopRules(end_id=model.taslm.eos_id, **self._words)
        return TaslmContinuer(model, preprocessor, rules, self._options, self._seed)

    @cached_property
    def scorer(self) -> TaslmScorer:
        """The model as it scores."""
        return TaslmScorer(*load_taslm_exp(*self._place))

    def continue_(
        self, words: Sequence[str], codes: np.ndarray, name: str = "0"
    ) -> WordCodes:
        """Continue one prompt; see :meth:`continue_batch`."""
        prompt = WordCodes(tuple(words), np.asarray(codes))
        return self.continue_batch([prompt], [name])[0]

    def continue_batch(
        self, prompts: Sequence[WordCodes], names: Sequence[str] | None = None
    ) -> list[WordCodes]:
        """Continue spoken prompts; each gets what it would get alone.

        Args:
            prompts: B beginnings as words (W,) with codes (W, Q).
            names: Utterance ids, on which the random numbers depend.

        Returns:
            The continuation of each, without the prompt.

        Raises:
            ValueError: Words and codes differ in number.
        """
        return self.continuer(utterance_names(names, len(prompts)), prompts)

    def score(
        self, words: Sequence[str], codes: np.ndarray, name: str = "0"
    ) -> Mapping[str, float]:
        """Score one utterance; see :meth:`score_batch`."""
        item = WordCodes(tuple(words), np.asarray(codes))
        return self.score_batch([item], [name])[0]

    def score_batch(
        self, items: Sequence[WordCodes], names: Sequence[str] | None = None
    ) -> list[Mapping[str, float]]:
        """Log-likelihoods of utterances; padding changes no score.

        Args:
            items: B utterances as words (W,) with codes (W, Q).
            names: Utterance ids, for errors.

        Returns:
            Of each utterance, the scores of text, speech and both, as sums and means,
            and of the text by the base LM; see ``TaslmScorer``.

        Raises:
            ValueError: Words and codes differ in number.
        """
        return self.scorer(utterance_names(names, len(items)), items)
