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
