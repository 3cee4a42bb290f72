"""Any ESPnet frontend and encoder, trained together with the TASTE tokenizer.

Enters: waveforms (B, S). Leaves: keys after the encoder's final norm and values from
its blocks, (B, F, D). Legend: B utterances, S samples, F encoder frames, D features.

Nothing is pretrained, so checkpoints hold the weights. ``--init_param`` may bring some
from an ASR training: ``asr.pth:encoder:tokenizer.encoder.encoder``.
"""

from collections.abc import Mapping, Sequence

from espnet2_taste.tokenizer.encoders.espnet_parts import part_class
from espnet2_taste.tokenizer.encoders.espnet_stack import EspnetStack


class FrontendEncoder(EspnetStack):
    """Frontend, normalization and encoder named as in ESPnet's ASR configurations.

    Args:
        frontend: Name of an ESPnet ASR frontend.
        frontend_conf: Its options.
        normalize: Name of a normalization, or None.
        normalize_conf: Its options.
        encoder: Name of an ESPnet ASR encoder.
        encoder_conf: Its options.
        fs: Rate of the audio, Hz.
        value_layer: Block whose output gives the values; several for a mix.
        trainable: False keeps the weights as they start.

    Raises:
        ValueError: There is no such part or layer.
    """

    in_checkpoints = True

    def __init__(
        self,
        frontend: str = "default",
        frontend_conf: Mapping | None = None,
        normalize: str | None = "utterance_mvn",
        normalize_conf: Mapping | None = None,
        encoder: str = "conformer",
        encoder_conf: Mapping | None = None,
        fs: int = 16000,
        value_layer: int | Sequence[int] = 1,
        trainable: bool = True,
    ):
        frontend_class = part_class("frontend", frontend)
        front = frontend_class(**({"fs": fs} | dict(frontend_conf or {})))
        normalize_class = part_class("normalize", normalize)
        encoder_class = part_class("encoder", encoder)
        super().__init__(
            front,
            normalize_class and normalize_class(**(normalize_conf or {})),
            encoder_class(input_size=front.output_size(), **(encoder_conf or {})),
            fs,
            value_layer,
        )
        self.trainable = trainable
        if not trainable:
            self.freeze()
