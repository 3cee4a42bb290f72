"""Hugging Face models as speech encoders need them.

Enters: a directory, a file in it, or a hub name. Leaves: a model with weights of which
no byte was run.
"""

from pathlib import Path

from torch import nn

from espnet2_taste.experiment_files import local_place


def weights_or_sizes(model_class: type, place: str, dtype, config=None, **options):
    """Load a model; on the meta device only build it, without reading its weights.

    Args:
        model_class: A class of ``transformers`` with ``from_pretrained``.
        place: Directory or hub name.
        dtype: Of the weights.
        config: Its configuration, if it was changed.
        **options: Of ``from_pretrained``.

    Returns:
        The model.

    Raises:
        OSError, ValueError: It cannot be had.
    """
    import torch
    from transformers import AutoConfig

    common = {"local_files_only": Path(place).is_dir(), "trust_remote_code": False}
    config = config or AutoConfig.from_pretrained(place, **common)
    if torch.get_default_device().type == "meta":
        automatic = hasattr(model_class, "from_config")
        build = model_class.from_config if automatic else model_class._from_config
        return build(config, dtype=dtype)
    return model_class.from_pretrained(
        place, config=config, dtype=dtype, **common, **options
    )


def load_pretrained(model_class: type, model: str) -> nn.Module:
    """Load a frozen model for a speech encoder or a recognizer.

    Args:
        model_class: A class of ``transformers`` with ``from_pretrained``.
        model: Directory, file in it, or hub name.

    Returns:
        The model in evaluation mode, float32.

    Raises:
        ValueError: It cannot be had.
    """
    import torch

    place = local_place(model)
    try:
        loaded = weights_or_sizes(model_class, place, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no weights of a speech encoder at '{model}' "
            f"({str(error).splitlines()[0]}): set speech_encoder_conf.model to a "
            "directory written by save_pretrained or to the name of a public model"
        ) from error
    return loaded.eval()
