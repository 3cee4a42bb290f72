"""Hugging Face models as speech encoders need them.

Enters: a directory, a file in it, or a hub name. Leaves: a model with weights of which
no byte was run.
"""

from pathlib import Path

from torch import nn

from espnet2_taste.experiment_files import local_place


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
        loaded = model_class.from_pretrained(
            place,
            local_files_only=Path(place).is_dir(),
            trust_remote_code=False,
            dtype=torch.float32,
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no weights of a speech encoder at '{model}' "
            f"({str(error).splitlines()[0]}): set speech_encoder_conf.model to a "
            "directory written by save_pretrained or to the name of a public model"
        ) from error
    return loaded.eval()
