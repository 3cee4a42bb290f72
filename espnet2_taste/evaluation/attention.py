"""The aggregator's attention over one utterance, as a picture.

Enters: a trained TASTE experiment and an utterance with word times. Leaves: a PNG
with the mel, the words and where each token looks (paper, figure of the aggregator).

Legend: N text tokens, F encoder frames, M mel bins, H heads.
"""

from pathlib import Path

import numpy as np
import torch

from espnet2_taste.data.audio import load_speech
from espnet2_taste.metrics.plots import plot_attention
from espnet2_taste.structures import WordTiming


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
    path: Path, taste_exp: Path, name: str, wav: str, words: list[WordTiming]
) -> None:
    """Draw one utterance; attention is averaged over blocks and heads.

    Args:
        path: PNG to write.
        taste_exp: Experiment directory.
        name: Utterance id.
        wav: Its audio.
        words: Its words with their times.
    """
    from espnet2_taste.tokenizer.inference import TasteEncoder

    encoder = TasteEncoder.from_exp(taste_exp)
    speech = load_speech(wav, encoder.sample_rate)
    ids = encoder.texts([name], [" ".join(timing.word for timing in words)])
    tokenizer = encoder.model.tokenizer
    wave = torch.from_numpy(speech)[None]
    states = tokenizer.encoder(wave, torch.tensor([len(speech)]))
    weights = tokenizer.aggregator.attention(ids.text, states)  # (1, blocks, H, N, F)
    text_side = encoder.preprocessor.tokenizer
    labels = [text_side.decode([token]) for token in ids.text[0].tolist()]
    plot_attention(
        path,
        log_mel(speech, encoder.sample_rate),
        weights[0].mean((0, 1))[: len(labels)].numpy(),  # (N, F)
        labels,
        words,
        len(speech) / encoder.sample_rate,
    )
