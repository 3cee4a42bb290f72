"""The aggregator's attention over one utterance, as a picture.

Enters: a trained TASTE model and an utterance with word times. Leaves: a PNG with the
mel, the words and where each token looks (paper, figure of the aggregator).

Legend: N text tokens, F encoder frames, M mel bins, H heads, S samples, W words, Q
codebooks.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.metrics.plots import plot_attention
from espnet2_taste.structures import WordTiming

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""Shown for a token that only begins a word."""


def log_mel(speech: np.ndarray, sample_rate: int, bins: int = 80) -> np.ndarray:
    """Log-mel spectrogram for the eye: 10 ms hop, 60 dB range, (F, M)."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=speech,
        sr=sample_rate,
        n_fft=512,
        hop_length=sample_rate // 100,
        n_mels=bins,
    )
    return librosa.power_to_db(power, ref=np.max, top_db=60.0).T


@torch.no_grad()
def draw_attention(
    path: Path,
    encoder: TasteEncoder,
    name: str,
    speech: np.ndarray,
    words: Sequence[WordTiming],
    codes: np.ndarray | None = None,
) -> None:
    """Draw one utterance; attention is averaged over blocks and heads.

    Args:
        path: PNG to write.
        encoder: The model.
        name: Utterance id.
        speech: Samples (S,) at the model's rate.
        words: Its words with their times.
        codes: Their codes (W, Q), written below the words.
    """
    ids = encoder.texts([name], [" ".join(timing.word for timing in words)])
    tokenizer, device = encoder.model.tokenizer, encoder.device
    wave = torch.from_numpy(speech)[None].to(device)
    lengths = torch.tensor([len(speech)], device=device)
    states = tokenizer.states(wave, lengths, ids.text, ids.word_ids)
    maps = (ids.text, states, ids.word_ids)
    weights = tokenizer.aggregator.attention(*maps)  # (1, blocks, H, N, F)
    text_side = encoder.preprocessor.tokenizer
    labels = [text_side.decode([token]) or SPACE for token in ids.text[0].tolist()]
    rows = (
        [""] * len(words) if codes is None else ["\n".join(map(str, r)) for r in codes]
    )
    titles = [f"{timing.word}\n{row}".strip() for timing, row in zip(words, rows)]
    plot_attention(
        path,
        log_mel(speech, encoder.sample_rate),
        weights[0].mean((0, 1))[: len(labels)].cpu().numpy(),  # (N, F)
        labels,
        [replace(timing, word=title) for timing, title in zip(words, titles)],
        len(speech) / encoder.sample_rate,
    )
