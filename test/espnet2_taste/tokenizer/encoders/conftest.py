"""Fixtures of the speech encoders: waves of several lengths, the padding check."""

import pytest
import torch


@pytest.fixture
def waves():
    """``waves(16000, 9000)`` gives speech (2, 16000) and its lengths (2,)."""

    def draw(*lengths):
        torch.manual_seed(1)
        speech = torch.randn(len(lengths), max(lengths)) * 0.1
        return speech, torch.tensor(lengths)

    return draw


@pytest.fixture
def same_alone(waves):
    """``same_alone(encoder)`` demands of each utterance what it gives alone."""

    def check(encoder, lengths=(16000, 7777, 15900, 8321), atol=2e-5):
        speech, lengths = waves(*lengths)
        together = encoder(speech, lengths)
        for row, length in enumerate(lengths):
            alone = encoder(speech[row : row + 1, :length], lengths[row : row + 1])
            frames = int(alone.lengths[0])
            assert int(together.lengths[row]) == frames
            for name in ("keys", "values"):
                got = getattr(together, name)[row, :frames]
                torch.testing.assert_close(
                    got, getattr(alone, name)[0], atol=atol, rtol=0
                )

    return check
