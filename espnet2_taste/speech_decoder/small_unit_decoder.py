"""A compact unit decoder for small corpora and quick comparisons.

Enters and leaves: as ``UnitDecoder``. Text and TASTE pass a linear map and a norm each
and are fused at once; one causal stack reads the fused tokens and writes the units.
The published decoder first runs a stack of its own over each side.
"""

from espnet2_taste.speech_decoder.fusion import AbsFusion
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder


class SmallUnitDecoder(UnitDecoder):
    """``UnitDecoder`` whose only stack is the language model.

    Args:
        vocab_size: Text tokens.
        num_units: Unit classes K.
        taste_size: Features of the TASTE vectors.
        spembs_size: Features S of the speaker embeddings.
        fusion: Joins text and TASTE over ``hidden_size`` features.
        hidden_size: Features D.
        num_blocks: Blocks of the language model.
        attention_heads: Its heads.
        linear_units: Its feed-forward width.
        dropout_rate: Dropout.
        unit_dropout: See ``UnitDecoder``.
        unit_dropout_spread: See ``UnitDecoder``.
        spembs_dropout: See ``UnitDecoder``.
    """

    def __init__(
        self,
        vocab_size: int,
        num_units: int,
        taste_size: int,
        spembs_size: int,
        fusion: AbsFusion,
        hidden_size: int = 96,
        num_blocks: int = 3,
        attention_heads: int = 4,
        linear_units: int = 384,
        dropout_rate: float = 0.1,
        unit_dropout: float = 0.0,
        unit_dropout_spread: float = 0.0,
        spembs_dropout: float = 0.0,
    ):
        super().__init__(
            vocab_size,
            num_units,
            taste_size,
            spembs_size,
            fusion,
            embed_size=hidden_size,
            hidden_size=hidden_size,
            text_blocks=0,
            taste_blocks=0,
            lm_blocks=num_blocks,
            attention_heads=attention_heads,
            linear_units=linear_units,
            taste_attention_heads=attention_heads,
            dropout_rate=dropout_rate,
            unit_dropout=unit_dropout,
            unit_dropout_spread=unit_dropout_spread,
            spembs_dropout=spembs_dropout,
        )
