"""Speech of what was generated: prosody goes with the units to the vocoder."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.speakers import CodeSpeaker
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits


class Loud(torch.nn.Module):
    """Says the loudness of its units."""

    sample_rate = 8000

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def synthesize(self, units, units_lengths, spembs, prosody=None, times=None):
        return prosody[..., 2].repeat_interleave(100, dim=1), units_lengths * 100


class Generator(SimpleNamespace):
    def __call__(self, names, ids, taste, spembs):
        return [
            GeneratedUnits(torch.arange(n), None, torch.full((n, 3), n / 10))
            for n in (2, 0, 4)
        ]


@pytest.mark.parametrize("audio_format", ["wav", "flac.ark"])
def test_codes_are_spoken_with_the_prosody_that_is_predicted(tmp_path, audio_format):
    generator = Generator(
        encoder=SimpleNamespace(texts=lambda names, texts: texts),
        taste_from_codes=lambda names, ids, codes: None,
    )
    items = [SimpleNamespace(text=t, codes=np.zeros((1, 1))) for t in "abc"]
    spembs = {name: np.zeros(3, np.float32) for name in "xyz"}
    speaker = CodeSpeaker(Loud(), generator, audio_format)
    with speaker.writer(tmp_path) as write:
        found = speaker(write, list("xyz"), items, spembs)
    speaker.write_tables(tmp_path, found)
    units = read_table(tmp_path / "units")
    assert units == {"x": "0 1", "y": "", "z": "0 1 2 3"}
    wavs = read_table(tmp_path / "wav.scp")
    levels = {name: read_audio(wavs[name])[0] for name in "xyz"}
    np.testing.assert_allclose(levels["x"], np.full(200, 0.2), atol=1e-3)
    np.testing.assert_allclose(levels["z"], np.full(400, 0.4), atol=1e-3)
    assert (levels["y"] == 0).all()
