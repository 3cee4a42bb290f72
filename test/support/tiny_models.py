"""Smallest configurations that several tests build."""

import zlib


def tiny_hifigan(channels: int = 8, **options) -> dict:
    """Keyword arguments of ``UnitHiFiGAN``: 640 samples a unit, one resblock."""
    return {
        "embed_size": 8,
        "segment_units": 6,
        "hifigan_conf": {
            "channels": channels,
            "upsample_scales": [10, 8, 8],
            "upsample_kernel_sizes": [20, 16, 16],
            "resblock_kernel_sizes": [3],
            "resblock_dilations": [[1]],
        },
        "discriminator_conf": {
            "scales": 1,
            "scale_discriminator_params": {
                "channels": 8,
                "max_downsample_channels": 8,
                "max_groups": 2,
                "downsample_scales": [4],
            },
            "periods": [2],
            "period_discriminator_params": {
                "channels": 4,
                "max_downsample_channels": 8,
            },
        },
        **options,
    }


def write_lm(path, tokenizer_dir):
    """A Hugging Face directory with a random Llama of 16 features and its tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)


QUANTIZER = {"num_codebooks": 2, "codebook_size": 8, "latent_size": 6}


def write_quantizer_exp(path):
    """A TASTE experiment of which only the quantizer is there."""
    import torch
    import yaml

    from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer

    path.mkdir()
    torch.manual_seed(0)
    state = ResidualQuantizer(12, **QUANTIZER).state_dict()
    state = {f"tokenizer.quantizer.{name}": value for name, value in state.items()}
    torch.save(state, path / "valid.loss.best.pth")
    config = {"quantizer": "rvq", "quantizer_conf": QUANTIZER}
    (path / "config.yaml").write_text(yaml.safe_dump(config))


def write_taslm_parts(root, tokenizer_dir):
    """What a TASLM is made from, two folders: a text LM and a quantizer."""
    llm, taste = root / "llm", root / "taste"
    write_lm(llm, tokenizer_dir)
    write_quantizer_exp(taste)
    return llm, taste


def tiny_spoken_lm(llm, taste, **options):
    """A spoken LM of other random weights than its parts have, and its data side."""
    import argparse

    from espnet2_taste.tasks.build_spoken_lm import build_preprocessor, build_spoken_lm
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    cmd = ["--output_dir", "x", "--tokenizer_path", str(llm), "--init_lm", str(llm)]
    cmd += ["--taste_exp", str(taste), "--model_conf", "kl_weight=0.9"]
    args = argparse.Namespace(**vars(SpokenLMTask.get_parser().parse_args(cmd)))
    vars(args).update(options)
    model = build_spoken_lm(args).eval()
    fill_by_name(model.core)
    return model, build_preprocessor(args, False)


def fill_by_name(core):
    """Weights that depend on their names alone, not on the order of building."""
    import torch

    def seeded(name, shape):
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        return torch.randn(shape, generator=generator)

    with torch.no_grad():
        for name, value in core.named_parameters():
            scale = 0.6 if value.dim() > 1 else 0.3
            name = name.removeprefix("embedding.").replace("code_head.", "head.")
            value.copy_(scale * seeded(name, value.shape))
        for name, value in core.quantizer.named_buffers():
            if value.is_floating_point() and value.dim() > 1:
                value.copy_(seeded(name, value.shape))
