"""Edits of tokenized utterances: whole words change their codes, words stay.

Enters and leaves: utterances as words with codes (W, Q). Every function returns new
utterances; times are dropped, since the edited speech has not been spoken yet.
Legend: W words, Q codebooks.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from espnet2_taste.inference.results import SpeechTokens
from espnet2_taste.structures import WordCodes


def swap_words(
    first: WordCodes, second: WordCodes, words: Sequence[int] | None = None
) -> tuple[SpeechTokens, SpeechTokens]:
    """Exchange the codes of words at the same places of two utterances.

    Args:
        first: One utterance.
        second: Another with as many words, usually the same ones.
        words: Places; all by default.

    Returns:
        Both after the exchange.

    Raises:
        ValueError: They differ in length, or a place does not exist.
    """
    if len(first.words) != len(second.words):
        raise ValueError(
            f"cannot swap between {len(first.words)} and {len(second.words)} words: "
            "give two readings of one text"
        )
    places = range(len(first.words)) if words is None else words
    pairs = {place: place for place in places}
    return copy_words(second, first, pairs), copy_words(first, second, pairs)


def copy_words(
    source: WordCodes, target: WordCodes, places: Mapping[int, int]
) -> SpeechTokens:
    """Let words of one utterance sound as words of another.

    Args:
        source: Gives the codes.
        target: Receives them.
        places: Word of ``target`` -> word of ``source``.

    Returns:
        ``target`` with the codes.

    Raises:
        ValueError: A place does not exist.
    """
    into, taken = list(places.keys()), list(places.values())
    _check_places(into, target)
    _check_places(taken, source)
    codes = np.array(target.codes)
    codes[into] = np.asarray(source.codes)[taken]
    return SpeechTokens(tuple(target.words), codes, model=_model_of(source, target))


def scale_words(
    quantizer, item: WordCodes, factor: float, words: Sequence[int] | None = None
) -> SpeechTokens:
    """Move word vectors away from (or toward) the origin of the quantizer's latent.

    The latent of the codes is multiplied and quantized again; factor 1 gives the codes
    back where the quantizer is a projection onto them, 0 the most neutral word.

    Args:
        quantizer: An ``AbsQuantizer``.
        item: The utterance.
        factor: Of the latent vector.
        words: Places; all by default.

    Returns:
        The utterance with new codes at these places.

    Raises:
        ValueError: A place does not exist.
    """
    import torch

    places = list(range(len(item.words)) if words is None else words)
    _check_places(places, item)
    codes = np.array(item.codes)
    device = next(quantizer.parameters()).device
    with torch.no_grad():
        chosen = torch.from_numpy(codes[places]).long().to(device)  # (P, Q)
        scaled = quantizer.codes_from_latent(factor * quantizer.latent(chosen))
    codes[places] = scaled.cpu().numpy()
    return SpeechTokens(tuple(item.words), codes, model=_model_of(item))


def mix_words(
    quantizer, first: WordCodes, second: WordCodes, weights: Sequence[float]
) -> SpeechTokens:
    """Let words lie between two readings, e.g. from a fast to a slow one.

    The latents of both codes are averaged and quantized again. Weight 0 gives the codes
    of the first reading, 1 those of the second.

    Args:
        quantizer: An ``AbsQuantizer``.
        first: One reading.
        second: Another one with as many words, usually the same ones.
        weights: Share of the second one in each word, 0 to 1, W of them.

    Returns:
        The first reading with the codes in between.

    Raises:
        ValueError: Readings or weights differ in length, or a weight is out of range.
    """
    import torch

    if not len(first.words) == len(second.words) == len(weights):
        raise ValueError(
            f"expected two readings and weights of as many words, found "
            f"{len(first.words)}, {len(second.words)} and {len(weights)}"
        )
    if not all(0 <= weight <= 1 for weight in weights):
        raise ValueError(f"expected weights from 0 to 1, found {list(weights)}")
    codes = np.stack([np.asarray(item.codes) for item in (first, second)])
    device = next(quantizer.parameters()).device
    with torch.no_grad():
        both = quantizer.latent(torch.from_numpy(codes).long().to(device))  # (2, W, C)
        share = torch.tensor(weights, device=device).to(both).unsqueeze(-1)
        mixed = quantizer.codes_from_latent(torch.lerp(*both, share)).cpu().numpy()
    given = np.asarray(weights)[:, None]
    mixed = np.where(given == 0, codes[0], np.where(given == 1, codes[1], mixed))
    return SpeechTokens(tuple(first.words), mixed, model=_model_of(first, second))


def _model_of(*items: WordCodes) -> str:
    """The model that all of them are from."""
    models = {getattr(item, "model", "") for item in items} - {""}
    if len(models) > 1:
        raise ValueError(
            f"codes of different models ({', '.join(sorted(models))}) do not mix: "
            "tokenize both utterances with one model"
        )
    return "".join(models)


def _check_places(places: Sequence[int], item: WordCodes) -> None:
    wrong = [place for place in places if not 0 <= place < len(item.words)]
    if wrong:
        raise ValueError(
            f"word {wrong[0]} does not exist: '{item.text}' has the words 0 .. "
            f"{len(item.words) - 1}"
        )
