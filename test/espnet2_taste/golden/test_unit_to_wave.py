"""Parity of flow and HiFT with the published voice generator."""

import pytest
import torch

from espnet2_taste.vocoder.flow import UnitFlow, cosine_times
from espnet2_taste.vocoder.hift import HiFTGenerator

WEIGHTS = "voice_generator.safetensors"


@pytest.fixture(scope="module")
def flow(golden):
    sizes = golden.manifest["config"]["flow"]
    cfm = golden.manifest["config"]["cfm"]
    model = UnitFlow(
        num_units=sizes["vocab"],
        spembs_size=sizes["spk"],
        n_mels=sizes["n_mel"],
        encoder_size=sizes["enc"],
        encoder_blocks=sizes["blocks"],
        attention_heads=sizes["heads"],
        linear_units=sizes["linear_units"],
        estimator_conf=dict(
            channels=sizes["channels"],
            num_blocks=sizes["n_blocks"],
            num_mid_blocks=sizes["mid"],
            heads=sizes["num_heads"],
            head_size=sizes["head_dim"],
        ),
        decoder_conf=dict(
            sigma_min=cfm["sigma_min"],
            condition_drop=cfm["training_cfg_rate"],
            guidance=cfm["inference_cfg_rate"],
            num_steps=golden.manifest["config"]["n_timesteps"],
        ),
    )
    model.load_state_dict(golden.weights("flow.", WEIGHTS), strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def hift(golden):
    sizes = golden.manifest["config"]["hift"]
    model = HiFTGenerator(
        n_mels=sizes["in_channels"],
        sample_rate=sizes["sampling_rate"],
        base_channels=sizes["base_channels"],
        f0_channels=sizes["cond_channels"],
    )
    model.load_state_dict(golden.weights("hift.", WEIGHTS), strict=True)
    return model.eval()


def record(module, outputs):
    """Remember what a module returns."""
    module.register_forward_hook(lambda *args: outputs.append(args[-1].detach()))


@pytest.mark.golden("G7a*")
def test_flow(golden, golden_check, flow):
    estimates, states, encoded, projected, times = [], [], [], [], []
    record(flow.decoder.estimator, estimates)
    record(flow.encoder, encoded)
    record(flow.encoder_proj, projected)
    record(flow.decoder.estimator.time_mlp, times)
    flow.decoder.estimator.register_forward_pre_hook(
        lambda module, inputs: states.append(inputs)
    )
    units, lengths = golden["speech_token_ids"], golden["speech_token_lengths"].long()
    noise = golden["noise"]
    frames = torch.tensor([noise.size(2)])
    mu, _, speaker = flow.encode(units, lengths, golden["flow_embedding"], frames)
    golden_check(mu, golden["mu"], "mu")
    golden_check(speaker, golden["spk_proj"], "spk_proj")
    golden_check(encoded[0], golden["encoder_out"], "encoder_out")
    golden_check(projected[0], golden["encoder_proj"], "encoder_proj")
    mel = flow.synthesize(units, lengths, golden["flow_embedding"], frames, noise)
    calls = torch.cat([state[3] for state in states])
    golden_check(calls, golden["t_used"], "t_used")
    for name in golden.tensors:
        kind, _, number = name.rpartition("_")
        if kind == "estimator_out":
            step, branch = divmod(int(number), 2)
            golden_check(estimates[step][branch : branch + 1], golden[name], name)
        if kind == "x":
            golden_check(states[int(number)][0][:1], golden[name], name)
    time = flow.decoder.estimator.time_mlp.sinusoids(states[1][3][:1])
    golden_check(time, golden["time_embedding_0"], "time_embedding_0")
    golden_check(times[1][:1], golden["time_mlp_0"], "time_mlp_0")
    golden_check(mel, golden["mel"], "mel")


@pytest.mark.golden("G7a*")
def test_flow_in_a_padded_batch_is_the_golden_mel(golden, golden_check, flow):
    units, lengths = golden["speech_token_ids"], golden["speech_token_lengths"].long()
    noise, frames = golden["noise"], golden["noise"].size(2)
    spembs = golden["flow_embedding"]
    mel = flow.synthesize(
        torch.nn.functional.pad(units, (0, 6)).repeat(2, 1),
        torch.cat([lengths, lengths + 6]),
        spembs.repeat(2, 1),
        torch.tensor([frames, frames + 11]),
        torch.nn.functional.pad(noise, (0, 11), value=0.3).repeat(2, 1, 1),
    )
    golden_check(mel[:1, :, :frames], golden["mel"], "mel (batch)")


@pytest.mark.golden("G7b*")
def test_hift(golden, golden_check, hift):
    mel = golden["mel"]
    outputs = {}
    watched = dict(pre=hift.conv_pre, up0=hift.ups[0], up1=hift.ups[1])
    watched.update(sd0=hift.source_downs[0], sr0=hift.source_resblocks[0])
    watched.update(post=hift.conv_post)
    for name, module in watched.items():
        record(module, outputs.setdefault(name, []))
    f0 = hift.f0_predictor(mel)
    golden_check(f0, golden["f0"], "f0")
    long_f0 = golden["f0"].repeat_interleave(hift.hop_length, dim=1)
    sources = hift.m_source.sines(long_f0, golden["phase_vec"], golden["sine_noise"])
    golden_check(sources, golden["sine_waves"], "sine_waves")
    wave = hift.decode(mel, golden["source"])
    spectrum = hift._source_spectrum(golden["source"].squeeze(1))
    real, imaginary = spectrum.chunk(2, dim=1)
    golden_check(real, golden["source_stft_real"], "source_stft_real")
    golden_check(imaginary, golden["source_stft_imag"], "source_stft_imag")
    for name in watched:
        golden_check(outputs[name][0], golden[name], name)
    magnitude, angle = outputs["post"][0].chunk(2, dim=1)
    golden_check(magnitude.exp(), golden["magnitude"], "magnitude")
    golden_check(angle.sin(), golden["phase"], "phase")
    golden_check(wave, golden["waveform"], "waveform (golden source)")


@pytest.mark.golden("G7b*")
def test_hift_end_to_end(golden, golden_check, hift):
    wave = hift(golden["mel"], golden["phase_vec"], golden["sine_noise"])
    golden_check(wave, golden["waveform"], "waveform")


def test_cosine_times_start_slowly():
    times = cosine_times(10)
    assert times[0] == 0 and abs(times[-1] - 1) < 1e-6
    assert (times.diff().diff() > 0).all()
