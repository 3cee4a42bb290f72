"""Continuations, and codes of given words, word by word.

Enters: a ``TaslmContinuer`` and one prompt. Leaves: each word with its codes (Q,) at
the first row where both are known: its last token is followed by another word or by
the end, and its codes, which come some words later, have arrived.
"""

from collections.abc import Iterator

from espnet2_taste.inference.continuer import TaslmContinuer
from espnet2_taste.inference.results import StreamedWord
from espnet2_taste.slm.continuation import ContinuationWriter
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
    generator, writer, said = continuer.generator, ContinuationWriter(), 0
    num_codebooks = generator.taslm.quantizer.num_codebooks
    streams = UniformStreams.from_ids([name], continuer.seed)

    def known(count: int) -> Iterator[StreamedWord]:
        if count > said:
            so_far = writer.finish(num_codebooks, generator.rules.end_id)
            item = continuer.words(so_far)
            for index in range(said, min(count, len(item.words))):
                yield StreamedWord(item.words[index], item.codes[index])

    for trace in generator.trace([continuer.prompt(name, spec)], streams):
        writer.write(trace.steps[0], trace.text[0].cpu(), trace.codes[0].cpu())
        growing = writer.final is None  # the last word may get another token
        count = min(writer.words - growing, len(writer.codes))
        yield from known(count)
        said = max(said, count)
    yield from known(len(writer.codes))


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
    prompt = continuer.prompt(name, spec)
    given = continuer.given(name, spec, text)
    streams = UniformStreams.from_ids([name], continuer.seed)
    for trace in continuer.generator.trace([prompt], streams, [given]):
        due = trace.steps[0].due
        if due is not None and due >= 0:
            yield StreamedWord(next(words), trace.codes[0].cpu().numpy())
