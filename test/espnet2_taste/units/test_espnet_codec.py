"""Units of an ESPnet codec: the stream of the codec itself, batches, errors."""

import pytest
import torch
import yaml

from espnet2_taste.units.espnet_codec import EspnetCodecUnits
from espnet2_taste.units.unit_exp import unit_extractor_choices

TINY = {
    "codec": "soundstream",
    "codec_conf": {
        "sampling_rate": 16000,
        "generator_params": {
            "hidden_dim": 8,
            "encdec_channels": 1,
            "encdec_n_filters": 2,
            "encdec_n_residual_layers": 1,
            "encdec_ratios": [8, 5, 4, 4],
            "encdec_lstm": 0,
            "encdec_norm": "weight_norm",
            "quantizer_n_q": 3,
            "quantizer_bins": 16,
            "quantizer_kmeans_init": False,
            "quantizer_target_bandwidth": [0.3],
        },
        "discriminator_params": {
            "scales": 1,
            "scale_downsample_pooling": "AvgPool1d",
            "scale_downsample_pooling_params": {"kernel_size": 4, "stride": 2},
            "scale_discriminator_params": {
                "in_channels": 1,
                "out_channels": 1,
                "kernel_sizes": [15, 41, 5, 3],
                "channels": 4,
                "max_downsample_channels": 8,
                "max_groups": 2,
                "downsample_scales": [2],
            },
            "complexstft_discriminator_params": {"channels": 1, "n_fft": 64},
        },
    },
}


@pytest.fixture(scope="module")
def codec_exp(tmp_path_factory):
    from espnet2.tasks.gan_codec import GANCodecTask

    folder = tmp_path_factory.mktemp("codec")
    source = folder / "source.yaml"
    source.write_text(yaml.safe_dump(TINY))
    command = ["--config", str(source), "--output_dir", str(folder)]
    args = GANCodecTask.get_parser().parse_args(command)
    torch.manual_seed(0)
    model = GANCodecTask.build_model(args)
    for layer in model.codec.generator.quantizer.vq.layers:
        torch.nn.init.normal_(layer._codebook.embed, std=0.1)
    torch.save(model.state_dict(), folder / "latest.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump(vars(args)))
    return folder


def test_units_are_a_stream_of_the_codec(codec_exp):
    build = unit_extractor_choices.get_class("espnet_codec")
    first, second = (build(str(codec_exp), stream=stream).eval() for stream in (0, 1))
    assert (first.num_units, first.unit_rate, first.sample_rate) == (16, 25.0, 16000)
    speech = 50 * torch.randn(2, 9600, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9600, 6400])
    units, sizes = first(speech, lengths)
    assert units.dtype == torch.int64 and sizes.tolist() == [15, 10]
    assert (units[1, 10:] == -1).all() and len(units[0].unique()) > 1
    with torch.no_grad():
        codes = first.codec.encode(speech[1:, None, :6400])  # (Q, 1, U)
    assert torch.equal(units[1, :10], codes[0, 0])
    assert torch.equal(second(speech, lengths)[0][1, :10], codes[1, 0])


def test_errors_name_the_option(codec_exp, tmp_path):
    with pytest.raises(ValueError, match="config.yaml not found.*codec_exp"):
        EspnetCodecUnits(str(tmp_path))
    with pytest.raises(ValueError, match="stream is 3, .* has streams 0 .. 2"):
        EspnetCodecUnits(str(codec_exp), stream=3)
    (tmp_path / "config.yaml").write_text((codec_exp / "config.yaml").read_text())
    with pytest.raises(ValueError, match="holds 0 model files.*model_file"):
        EspnetCodecUnits(str(tmp_path))
