"""What an ESPnet encoder takes beside features.

Enters: a built ESPnet recognizer and the size of a batch. Leaves: keyword arguments of
its encoder, and how many rows they put before the frames. Legend: B utterances, P rows
of a prefix, D features.
"""

import torch
from torch import nn

TASK = "<asr>"


class EncoderConditions(nn.Module):
    """Nothing, but the CTC head where blocks are conditioned on its output.

    Args:
        model: ESPnet recognizer.
    """

    prefix_size = 0

    def __init__(self, model: nn.Module):
        super().__init__()
        conditioned = getattr(model.encoder, "interctc_use_conditioning", False)
        self.ctc = model.ctc if conditioned else None

    def forward(self, batch_size: int) -> dict:
        """Arguments of the encoder for ``batch_size`` utterances."""
        return {} if self.ctc is None else {"ctc": self.ctc}


class OwsmCtcConditions(EncoderConditions):
    """OWSM-CTC: language and task before the frames, no previous text (``<na>``).

    Args:
        model: ESPnet's OWSM-CTC model.
        language: Its symbol without brackets, e.g. ``eng``.

    Raises:
        ValueError: The vocabulary has no such symbol.

    Source: Peng et al. 2024, OWSM-CTC (arXiv 2402.12654), section 3.
    """

    prefix_size = 2

    def __init__(self, model: nn.Module, language: str = "eng"):
        super().__init__(model)
        self.embed = model.embed
        self.positions = model.pos_enc
        self.prompt_encoder = model.prompt_encoder
        self.prefix_projection = model.embed_proj
        self.prompt_projection = model.prompt_proj
        symbols = (f"<{language}>", TASK)
        ids = [_id_of(model.token_list, symbol) for symbol in symbols]
        self.register_buffer("prefix", torch.tensor([ids]), persistent=False)
        self.register_buffer("previous", torch.tensor([[model.na]]), persistent=False)

    def forward(self, batch_size: int) -> dict:
        """Arguments of the encoder: prefix (B, 2, D), memory (B, 1, D) and its mask."""
        one = torch.ones(1, dtype=torch.long, device=self.prefix.device)
        memory, _, _ = self.prompt_encoder(
            self.positions(self.embed(self.previous)), one
        )
        prefix = self.prefix_projection(self.embed(self.prefix))
        return super().forward(batch_size) | {
            "prefix_embeds": prefix.expand(batch_size, -1, -1),
            "memory": self.prompt_projection(memory).expand(batch_size, -1, -1),
            "memory_mask": torch.ones(
                batch_size, 1, 1, dtype=torch.bool, device=prefix.device
            ),
        }


def conditions_of(model: nn.Module, language: str | None = None) -> EncoderConditions:
    """The conditions that an ESPnet recognizer needs.

    Args:
        model: ESPnet recognizer.
        language: Of the speech, for OWSM-CTC (``deu``); English by default.

    Returns:
        Those of OWSM-CTC for its model, else the plain ones.

    Raises:
        ValueError: The model knows no languages, or not this one.
    """
    if hasattr(model, "prompt_encoder"):
        return OwsmCtcConditions(model, language or "eng")
    if language is not None:
        raise ValueError(
            f"language '{language}': this recognizer takes none, leave it out "
            "(OWSM-CTC does)"
        )
    return EncoderConditions(model)


def _id_of(tokens: list[str], symbol: str) -> int:
    if symbol not in tokens:
        raise ValueError(
            f"the recognizer's vocabulary has no '{symbol}': choose a language it "
            "was trained for"
        )
    return tokens.index(symbol)
