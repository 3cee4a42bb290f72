"""Smallest configurations that several tests build."""


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
