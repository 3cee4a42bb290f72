"""Continuations, and codes of given words, word by word.

Enters: a ``TaslmContinuer`` and one prompt. Leaves: each word with its codes (Q,) at
the first row where both are known: its last token is followed by another word or by
the end, and its codes, which come some words later, have arrived.
"""

from collections.abc import Iterator

import numpy as np

from espnet2_taste.inference.continuer import TaslmContinuer
from espnet2_taste.inference.results import StreamedWord
from espnet2_taste.slm.prompt_specs import PromptSpec
from espnet2_taste.slm.sampling import UniformStreams


def stream_words(
    continuer: TaslmContinuer, name: str, spec: PromptSpec
) -> Iterator[StreamedWord]:
    """Continue one utterance.

    Args:
        continuer: The model.
        name: Utterance id, on which the random numbers depend.
        spec: What to continue.

    Yields:
        The words that ``continuer`` would return together.
    """
    generator, said = continuer.generator, 0
    streams = UniformStreams.from_ids([name], continuer.seed)
    for batch in generator.trace([continuer.prompt(name, spec)], streams):
        (item,) = batch.items
        growing = not item.state.drained  # the last word may get another token
        count = min(item.state.words - growing, len(item.codes))
        if count > said:
            words = continuer.words(generator.finish(item))
            for word, codes in list(zip(words.words, words.codes))[said:count]:
                yield StreamedWord(word, codes)
            said = count


def stream_codes(
    continuer: TaslmContinuer, name: str, spec: PromptSpec, text: str
) -> Iterator[StreamedWord]:
    """Give codes to given words.

    Args:
        continuer: The model.
        name: Utterance id, on which the random numbers depend.
        spec: What the words follow.
        text: Words separated by spaces, normalised as in training.

    Yields:
        The words and codes that ``continuer.say`` would return together.
    """
    words = iter(text.split())
    prompt, said = continuer.given(name, spec, text), 0
    streams = UniformStreams.from_ids([name], continuer.seed)
    for batch in continuer.generator.trace([prompt], streams):
        (item,) = batch.items
        if len(item.codes) > said:
            said = len(item.codes)
            yield StreamedWord(next(words), np.array(item.codes[-1]))
