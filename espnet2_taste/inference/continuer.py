"""How a trained TASLM continues words with codes.

Enters: transcripts and word-level codes. Leaves: prompts to continue and the words of a
continuation.

Legend: B utterances, N text tokens, W words, Q codebooks.
"""

from collections.abc import Sequence

import torch

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.continuation import Continuation
from espnet2_taste.slm.generation import TaslmGenerator
from espnet2_taste.slm.prompt_specs import PromptSpec
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.stepper import GivenText, StopRules
from espnet2_taste.slm.vocabulary import reference_masks, vocabulary_masks
from espnet2_taste.structures import WordCodes
from espnet2_taste.text.preprocessor import TaslmPreprocessor


class TaslmContinuer:
    """Words and codes, or whatever else is begun -> more words and codes.

    Args:
        model: A trained model in evaluation mode; without guidance its adapters are
            merged.
        preprocessor: Its text side.
        rules: When speech ends; the learned end is filled in.
        options: How to sample; their ``reference_compat`` holds for the vocabulary,
            the head and the prompts as well.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self,
        model: ESPnetSpokenLMModel,
        preprocessor: TaslmPreprocessor,
        rules: StopRules,
        options: GenerationOptions,
        seed: int = 0,
    ):
        taslm = model.core
        options.prepare(taslm)
        self.preprocessor = preprocessor
        self.tokenizer = preprocessor.tokenizer
        self.seed = seed
        self.reference_compat = options.reference_compat
        text_side = self.tokenizer.tokenizer
        if options.reference_compat:
            masks = reference_masks(text_side, taslm.eos_id)
            taslm.head.reference_compat = True
        else:
            masks = vocabulary_masks(text_side, preprocessor.word_space)
        self.generator = TaslmGenerator(taslm, masks, rules, options)

    def __call__(
        self, names: Sequence[str], specs: Sequence[PromptSpec]
    ) -> list[WordCodes]:
        """Continue a batch; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            specs: What to continue.

        Returns:
            The continuation of each, without the prompt.
        """
        found = self.continuations(names, specs)
        return [self.words(item) for item in found]

    def continuations(
        self, names: Sequence[str], specs: Sequence[PromptSpec]
    ) -> list[Continuation]:
        """The same as token ids, before they are written as words."""
        prompts = [self.prompt(name, item) for name, item in zip(names, specs)]
        return self.generator(prompts, UniformStreams.from_ids(names, self.seed))

    def say(
        self,
        names: Sequence[str],
        specs: Sequence[PromptSpec],
        texts: Sequence[str],
    ) -> list[WordCodes]:
        """Give codes to given words; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            specs: What the words follow.
            texts: Words separated by spaces, normalised as in training.

        Returns:
            The words of each utterance with their codes, without the prompt.

        Raises:
            ValueError: A text is empty, or the text LM has too few positions.
        """
        prompts = [self.prompt(name, item) for name, item in zip(names, specs)]
        given = [self.given(*row) for row in zip(names, specs, texts)]
        streams = UniformStreams.from_ids(names, self.seed)
        found = self.generator(prompts, streams, given)
        return [
            WordCodes(tuple(text.split()), item.codes.numpy())
            for text, item in zip(texts, found)
        ]

    def given(self, name: str, spec: PromptSpec, text: str) -> GivenText:
        """Words of a text as the tokens that training has behind a prompt."""
        data = self.preprocessor(name, {"text": " ".join([*spec.words, text])})
        first = int((data["word_ids"] < len(spec.words)).sum())
        ids = (data[key][first:].tolist() for key in ("text", "word_ids"))
        return GivenText.of(*ids)

    @torch.inference_mode()
    def prompt(self, name: str, spec: PromptSpec) -> PromptRows:
        """Tokenise and embed what is to be continued.

        Args:
            name: Utterance id, for errors.
            spec: What was given.

        Returns:
            The rows that the model reads.
        """
        taslm, compat = self.generator.taslm, self.reference_compat
        return spec.rows(taslm, self.preprocessor, name, compat)

    def words(self, item: Continuation) -> WordCodes:
        """Write the tokens of a continuation as words.

        Args:
            item: From the generator.

        Returns:
            Its words and codes.
        """
        words = []
        for index in range(len(item.codes)):
            tokens = item.text[item.word_ids == index].tolist()
            words.append("".join(self.tokenizer.decode(tokens).split()))
        return WordCodes(tuple(words), item.codes.numpy())
