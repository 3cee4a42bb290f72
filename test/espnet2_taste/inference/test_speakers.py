"""Speech of what was generated: prosody goes with the units to the vocoder."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.speakers import Speaker
from espnet2_taste.inference.unit_writers import SpokenText, UnitsFromText
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    GeneratedUnits,
    UnitSettings,
)


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
    speaker = Speaker(Loud(), audio_format, generator)
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


class UnitMaker(SimpleNamespace):
    def __init__(self, generate, **parts):
        super().__init__(generate=generate, **parts)

    def __call__(self, *given):
        return self.generate(*given)


@pytest.mark.parametrize("mixing", [0.0, 0.5])
def test_units_of_texts_are_mixed_behind_a_prompt_that_is_not(mixing):
    shares = torch.rand(2, 4) if mixing else None

    def generate(names, ids, taste, spembs):
        assert (names, ids) == (["y"], ["dog"])
        return [GeneratedUnits(torch.tensor([3, 1]), mixture=shares)]

    generator = UnitMaker(
        generate,
        encoder=SimpleNamespace(texts=lambda names, texts: texts),
        settings=UnitSettings(mixing=mixing),
        unit_decoder=SimpleNamespace(num_units=4),
    )
    found = [SpokenText(text, (), True, 1) for text in ("", "dog")]
    spembs = {name: np.zeros(3, np.float32) for name in "xy"}
    rows = UnitsFromText(generator)(["x", "y"], found, spembs)
    first = torch.tensor([2, 0])
    silent, said = (row.behind(first) for row in rows)
    assert silent.units.tolist() == [2, 0] and said.units.tolist() == [2, 0, 3, 1]
    if not mixing:
        assert silent.mixture is None and said.mixture is None
        return
    known = torch.eye(4)[first]
    assert torch.equal(silent.mixture, known)
    assert torch.equal(said.mixture, torch.cat([known, shares]))
