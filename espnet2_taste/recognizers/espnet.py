"""A recognizer trained with ESPnet: ASR, OWSM and others with a CTC head."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from espnet2_taste.recognizers.abs_recognizer import AbsRecognizer
from espnet2_taste.text.token_list_tokenizers import read_token_list
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.training import write_tokens
from espnet2_taste.tokenizer.encoders.espnet_asr import (
    EspnetAsrEncoder,
    find_asr_experiment,
    load_asr_model,
    sample_rate_of,
)

TOKEN_TYPES = ("bpe", "char")


@dataclass
class EspnetRecognizer(AbsRecognizer):
    """An ESPnet experiment.

    Args:
        model: Experiment directory, ``config.yaml`` in it, archive or tag of a
            published model.
        model_file: Checkpoint; the default one of the directory by default.
        language: Of the speech, as OWSM-CTC names it (``deu``); English by default.
    """

    speech_encoder: ClassVar[str] = "espnet_asr"

    model: str
    model_file: str | None = None
    language: str | None = None

    def encoder_conf(self):
        """See :meth:`AbsRecognizer.encoder_conf`."""
        given = {"model_file": self.model_file, "language": self.language}
        given = {name: value for name, value in given.items() if value is not None}
        return {"asr_exp": self.model, **given}

    def frame_encoder(self, layer):
        """See :meth:`AbsRecognizer.frame_encoder`."""
        return EspnetAsrEncoder(
            self.model, self.model_file, value_layer=layer, language=self.language
        )

    def write_vocabulary(self, directory):
        """See :meth:`AbsRecognizer.write_vocabulary`."""
        found = find_asr_experiment(self.model, self.model_file)
        token_type = found.options.get("token_type")
        if token_type not in TOKEN_TYPES:
            raise ValueError(
                f"--recognizer {self.model}: its token_type is '{token_type}', "
                f"expected one of {', '.join(TOKEN_TYPES)}; choose another recognizer"
            )
        write_tokens(
            directory, read_token_list(found.options["token_list"]), token_type
        )
        if token_type == "bpe":
            source = find_beside(found.config, found.options.get("bpemodel"))
            shutil.copyfile(source, directory / "bpe.model")
        return token_type

    def aligner(self, device="cpu", window=30.0):
        """See :meth:`AbsRecognizer.aligner`."""
        from espnet2_taste.align.ctc_aligner import CtcAligner, CtcScorer
        from espnet2_taste.tokenizer.encoders.espnet_conditions import conditions_of
        from espnet2_taste.tokenizer.encoders.espnet_stack import EspnetStack

        model, args = load_asr_model(self.model, self.model_file)
        if getattr(model, "ctc", None) is None:
            raise ValueError(
                f"--recognizer {self.model}: no CTC head (ctc_weight is 0), which "
                "times and recognizes words; choose another recognizer"
            )
        tokenizer = build_text_tokenizer(
            args.token_type, args.token_list, args.bpemodel
        )
        stack = EspnetStack(
            model.frontend,
            model.normalize,
            model.encoder,
            sample_rate_of(args),
            preencoder=getattr(model, "preencoder", None),
            conditions=conditions_of(model, self.language),
        )
        scorer = CtcScorer(stack, model.ctc.ctc_lo).to(device)
        return CtcAligner(scorer, tokenizer, window=window)


def find_beside(config: Path, name: str | None) -> Path:
    """Find a file that a configuration names, wherever the recipe's folder is now.

    Args:
        config: ``config.yaml`` of an experiment, somewhere below its recipe.
        name: Path as written there.

    Returns:
        The file.

    Raises:
        ValueError: There is no such file in the current folder or above the experiment.
    """
    for folder in (Path(), *config.absolute().parents):
        if name and (folder / name).is_file():
            return folder / name
    raise ValueError(
        f"{config}: its bpemodel '{name}' is neither here nor above the experiment: "
        "put the file there, or write its absolute path into config.yaml"
    )
