"""The parts of ESPnet's recognizers that are used here, without ESPnet's tasks.

Enters: the options of a trained recognizer. Leaves: its frontend, normalization,
encoder, CTC head and Transformer decoder. Importing ``espnet2.tasks.asr`` takes as long
as ten times what they need, for parts that are seldom chosen; it is done for those.
"""

from collections.abc import Mapping
from importlib import import_module

from torch import nn

ASR = "espnet2.asr"
PARTS = {
    "frontend": {
        "default": "espnet2_taste.tokenizer.encoders.mel_frontend.MelFrontend"
    },
    "normalize": {
        "global_mvn": "espnet2.layers.global_mvn.GlobalMVN",
        "utterance_mvn": "espnet2.layers.utterance_mvn.UtteranceMVN",
    },
    "preencoder": {
        "sinc": f"{ASR}.preencoder.sinc.LightweightSincConvs",
        "linear": f"{ASR}.preencoder.linear.LinearProjection",
    },
    "encoder": {
        "branchformer": f"{ASR}.encoder.branchformer_encoder.BranchformerEncoder",
        "conformer": f"{ASR}.encoder.conformer_encoder.ConformerEncoder",
        "e_branchformer": f"{ASR}.encoder.e_branchformer_encoder.EBranchformerEncoder",
        "transformer": f"{ASR}.encoder.transformer_encoder.TransformerEncoder",
    },
    "decoder": {"transformer": f"{ASR}.decoder.transformer_decoder.TransformerDecoder"},
}
"""Names of common parts in ``config.yaml``, and ESPnet's classes or subclasses."""


def part_class(kind: str, name: str | None) -> type[nn.Module] | None:
    """Class of a part of ESPnet's recognizers.

    Args:
        kind: A key of ``PARTS``.
        name: As in ``config.yaml``; None for no such part.

    Returns:
        The class; None for None.

    Raises:
        ValueError: ESPnet has no part of this name.
    """
    if name is None:
        return None
    if name in PARTS[kind]:
        module, _, found = PARTS[kind][name].rpartition(".")
        return getattr(import_module(module), found)
    from espnet2.tasks import asr

    return getattr(asr, f"{kind}_choices").get_class(name)


class RecognizerParts(nn.Module):
    """Parts of a recognizer under the names that its checkpoints have.

    Args:
        options: Contents of ``config.yaml``; see :meth:`fits`.
        with_decoder: Whether the attention decoder is one of them, if there is any.
    """

    def __init__(self, options: Mapping, with_decoder: bool = True):
        super().__init__()
        self.token_list = list(options["token_list"])
        self.frontend = _build("frontend", options)
        size = self.frontend.output_size()
        self.normalize = _build("normalize", options)
        self.preencoder = _build("preencoder", options)
        if self.preencoder is not None:
            size = self.preencoder.output_size()
        self.encoder = _build("encoder", options, input_size=size)
        sizes = {"encoder_output_size": self.encoder.output_size()}
        vocabulary, share = len(self.token_list), _ctc_share(options)
        self.decoder = self.ctc = None
        if with_decoder and share < 1.0:
            sizes_of_both = sizes | {"vocab_size": vocabulary}
            self.decoder = _build("decoder", options, **sizes_of_both)
        if share > 0.0:
            from espnet2.asr.ctc import CTC

            self.ctc = CTC(vocabulary, **sizes, **(options.get("ctc_conf") or {}))

    @staticmethod
    def fits(options: Mapping) -> bool:
        """Whether a recognizer consists of these parts and all are common ones.

        Args:
            options: Contents of ``config.yaml``.
        """
        named = {kind: options.get(kind) for kind in PARTS}
        conditioned = (options.get("encoder_conf") or {}).get(
            "interctc_use_conditioning"
        )  # by a layer that ESPnet's model adds to its encoder
        return (
            not conditioned
            and all(named[kind] for kind in ("frontend", "encoder"))
            and all(name is None or name in PARTS[kind] for kind, name in named.items())
            and not any(options.get(name) for name in ("input_size", "postencoder"))
            and isinstance(options.get("token_list"), list)
        )

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Load what belongs to these parts from the checkpoint of a whole model."""
        names = {name for name, _ in self.named_children()}
        own = {n: x for n, x in state_dict.items() if n.split(".")[0] in names}
        return super().load_state_dict(own, strict, assign)


def _build(kind: str, options: Mapping, **sizes: int) -> nn.Module | None:
    """A part with the options of its own, and sizes that other parts set."""
    found = part_class(kind, options.get(kind))
    return found and found(**sizes, **(options.get(f"{kind}_conf") or {}))


def _ctc_share(options: Mapping) -> float:
    """Share of CTC in the recognizer's loss; ESPnet's default where none is named."""
    return (options.get("model_conf") or {}).get("ctc_weight", 0.5)
