"""How a trained spoken LM continues what it is given; TASLM, words with codes.

Enters: beginnings of utterances. Leaves: what was added to each.

Legend: B utterances, N text tokens, W words, Q codebooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.inference.inputs import check_codes, model_digest, normal_text
from espnet2_taste.inference.results import SpeechTokens, StreamedWord
from espnet2_taste.slm.continuation import Continuation
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.layouts.streams import TextVocabulary
from espnet2_taste.slm.layouts.word_grammar import PublishedGrammar, WordGrammar
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.prompt_specs import PromptSpec, SpokenPrompt, WrittenPrompt
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.vocabulary import reference_masks
from espnet2_taste.structures import WordCodes
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preparation import TextRules


class AbsContinuer(ABC):
    """What every design continues in its own way.

    Args:
        generator: Of a model that is prepared to generate.
        tokenizer: The text LM's.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self, generator: Generator, tokenizer: HuggingFaceTokenizer, seed: int = 0
    ):
        self.generator = generator
        self.tokenizer = tokenizer
        self.seed = seed

    @abstractmethod
    def checked(self, name: str, item, rules: TextRules):
        """What a user gives as a beginning that this design can continue.

        Args:
            name: Utterance id, for errors.
            item: Spoken words, or anything of :mod:`espnet2_taste.slm.prompt_specs`.
            rules: How written text becomes words.

        Raises:
            ValueError: It is none of this model.
        """

    @abstractmethod
    def continuations(self, names: Sequence[str], prompts: Sequence) -> list:
        """Continue a batch; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            prompts: Of :meth:`checked`.

        Returns:
            What was generated after each, with ``rows`` and ``ended``.
        """

    @abstractmethod
    def __call__(self, names: Sequence[str], prompts: Sequence) -> list:
        """The same as words with what is spoken, without the prompt."""


class TaslmContinuer(AbsContinuer):
    """Words and codes, or whatever else is begun -> more words and codes.

    Args:
        model: A trained model in evaluation mode; without guidance its adapters are
            merged.
        preprocessor: Its data side.
        limits: How much is generated.
        options: How to sample; their ``reference_compat`` holds for the vocabulary,
            the head and the prompts as well.
        seed: With its name, all an utterance's randomness depends on.
        stop_id: Text token that ends speech; None for the one of training.

    Raises:
        ValueError: The published rules lack the one number they need.
    """

    def __init__(
        self,
        model: ESPnetSpokenLMModel,
        preprocessor: GridPreprocessor,
        limits: Limits,
        options: GenerationOptions,
        seed: int = 0,
        stop_id: int | None = None,
    ):
        core = model.core
        options.prepare(core)
        self.preprocessor = preprocessor
        self.reference_compat = options.reference_compat
        tokenizer, text = preprocessor.reader.tokenizer, core.layout.inventory.text
        if options.reference_compat:
            core.code_head.reference_compat = True
            masks = reference_masks(tokenizer.tokenizer, core.eos_id)
            masks = masks.resized(core.backbone.vocab_size)
            text = TextVocabulary.of(masks, (), core.eos_id)
            words = limits.sentence_end_after
            grammar = PublishedGrammar(core.layout, text, words, stop_id)
        else:
            if stop_id is not None:
                text = text.ending_with(stop_id)
            grammar = WordGrammar(core.layout, text)
        generator = Generator(core, options, limits, grammar=grammar)
        super().__init__(generator, tokenizer, seed)

    @cached_property
    def digest(self) -> str:
        """Which model its codes belong to; see ``inputs.model_digest``."""
        return model_digest(self.generator.core.quantizer)

    def checked(self, name, item, rules) -> PromptSpec:
        """See :meth:`AbsContinuer.checked`."""
        if isinstance(item, WordCodes):
            item = SpokenPrompt(item)
        if isinstance(item, SpokenPrompt):
            check_codes(name, item.spoken, self.generator.core.quantizer)
        elif isinstance(item, WrittenPrompt):
            text = normal_text(name, " ".join(item.words), rules, self.tokenizer)
            return WrittenPrompt(tuple(text.split()))
        return item

    def __call__(self, names, prompts) -> list[SpeechTokens]:
        """See :meth:`AbsContinuer.__call__`."""
        return [self.words(item) for item in self.continuations(names, prompts)]

    def continuations(self, names, prompts) -> list[Continuation]:
        """See :meth:`AbsContinuer.continuations`."""
        rows = [self.prompt(name, item) for name, item in zip(names, prompts)]
        return self.generator(rows, UniformStreams.from_ids(names, self.seed))

    def say(
        self,
        names: Sequence[str],
        specs: Sequence[PromptSpec],
        texts: Sequence[str],
    ) -> list[SpeechTokens]:
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
        prompts = [self.given(*row) for row in zip(names, specs, texts)]
        found = self.generator(prompts, UniformStreams.from_ids(names, self.seed))
        return [
            SpeechTokens(tuple(text.split()), item.codes.numpy(), model=self.digest)
            for text, item in zip(texts, found)
        ]

    def given(self, name: str, spec: PromptSpec, text: str) -> PromptRows:
        """A prompt with the words of a text, as the tokens that training has there.

        Raises:
            ValueError: The published rules know no text that is given.
        """
        if self.reference_compat:
            raise ValueError("reference_compat: the published system reads no texts")
        data = {"text": " ".join([*spec.words, text])}
        words = self.preprocessor.reader(name, data).words[len(spec.words) :]
        end_id = self.generator.grammar.inventory.text.end_id
        return self.prompt(name, spec).with_text(words, end_id)

    @torch.inference_mode()
    def prompt(self, name: str, spec: PromptSpec) -> PromptRows:
        """Tokenise and embed what is to be continued.

        Args:
            name: Utterance id, for errors.
            spec: What was given.

        Returns:
            The rows that the model reads.
        """
        core, compat = self.generator.core, self.reference_compat
        return spec.rows(core, self.preprocessor, name, compat)

    def words(self, item: Continuation) -> SpeechTokens:
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
        return SpeechTokens(tuple(words), item.codes.numpy(), model=self.digest)

    def stream(self, name: str, spec: PromptSpec) -> Iterator[StreamedWord]:
        """Continue one utterance word by word.

        A word comes at the first row where it and its codes are known: its last token
        is followed by another word or by the end, and its codes, which come some words
        later, have arrived.

        Args:
            name: Utterance id, on which the random numbers depend.
            spec: What to continue.

        Yields:
            The words that a call would return together.
        """
        said, streams = 0, UniformStreams.from_ids([name], self.seed)
        for batch in self.generator.trace([self.prompt(name, spec)], streams):
            (item,) = batch.items
            growing = not item.state.drained  # the last word may get another token
            count = min(item.state.words - growing, len(item.codes))
            if count > said:
                words = self.words(self.generator.finish(item))
                for word, codes in list(zip(words.words, words.codes))[said:count]:
                    yield StreamedWord(word, codes)
                said = count

    def stream_codes(
        self, name: str, spec: PromptSpec, text: str
    ) -> Iterator[StreamedWord]:
        """Give codes to given words, one by one.

        Args:
            name: Utterance id, on which the random numbers depend.
            spec: What the words follow.
            text: Words separated by spaces, normalised as in training.

        Yields:
            The words and codes that :meth:`say` would return together.
        """
        words, said = iter(text.split()), 0
        streams = UniformStreams.from_ids([name], self.seed)
        for batch in self.generator.trace([self.given(name, spec, text)], streams):
            (item,) = batch.items
            if len(item.codes) > said:
                said = len(item.codes)
                yield StreamedWord(next(words), np.array(item.codes[-1]))
