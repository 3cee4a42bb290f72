"""The encoder of any trained ESPnet recognizer as a frozen speech encoder.

Enters: waveforms (B, S) and an experiment: a directory (``config.yaml`` and a ``.pth``
file), or the tag or archive of a published model. Leaves: keys after the encoder's
final norm and values from its blocks, (B, F, D). Legend: B utterances, S samples, F
encoder frames, D features.

Frontend and normalization of the experiment are part of the encoder; SpecAugment and
waveform augmentation are not. ASR, OWSM (``s2t``, ``s2t_ctc``), speech translation and
understanding models have the parts that are needed.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from espnet2_taste.data.files import read_yaml
from espnet2_taste.experiment_files import (
    ARCHIVES,
    config_of,
    find_checkpoint,
    load_weights,
    read_config,
)
from espnet2_taste.tokenizer.decoder_init import (
    decoder_sizes,
    decoder_state_from_espnet,
)
from espnet2_taste.tokenizer.encoders.espnet_conditions import conditions_of
from espnet2_taste.tokenizer.encoders.espnet_parts import RecognizerParts
from espnet2_taste.tokenizer.encoders.espnet_stack import EspnetStack

CHECKPOINTS = ("valid.acc.ave.pth", "valid.acc.best.pth", "valid.loss.best.pth")
TASKS = {  # name in published models -> module of espnet2.tasks, class
    "asr": ("asr", "ASRTask"),
    "s2t": ("s2t", "S2TTask"),
    "s2t_ctc": ("s2t_ctc", "S2TTask"),
    "slu": ("slu", "SLUTask"),
    "st": ("st", "STTask"),
}


def asr_checkpoint(folder: Path) -> Path:
    """See ``find_checkpoint``."""
    return find_checkpoint(folder, CHECKPOINTS, "speech_encoder_conf.model_file")


@dataclass(frozen=True)
class AsrExperiment:
    """A trained ESPnet recognizer on disk.

    Attributes:
        config: Its ``config.yaml``.
        options: What stands there.
        weights: Its checkpoint.
    """

    config: Path
    options: Mapping
    weights: Path


def find_asr_experiment(asr_exp: str, model_file: str | None = None) -> AsrExperiment:
    """Find a trained recognizer, downloading or unpacking it where needed.

    Args:
        asr_exp: Experiment directory, its ``config.yaml``, or what
            ``espnet_model_zoo`` knows: an archive, a tag of the zoo or the hub.
        model_file: Checkpoint; the default one by default.

    Returns:
        Options and weights.

    Raises:
        ValueError: Something is missing.
    """
    place, config = Path(asr_exp), config_of(asr_exp)
    archive = place.is_file() and place.suffix in ARCHIVES
    if config.is_file() and not archive:
        weights = Path(model_file or asr_checkpoint(config.parent))
        return AsrExperiment(config, read_config(config), weights)
    local = place.is_dir() or place.is_absolute() or str(place.parent) != "."
    if not archive and local and place.parent.is_dir():
        raise ValueError(
            f"{config} not found: give an ESPnet experiment directory or the tag of a "
            "published model (speech_encoder_conf.asr_exp)"
        )
    return _published(asr_exp, model_file)


def _published(tag: str, model_file: str | None) -> AsrExperiment:
    from espnet2.utils.pretrained import download_pretrained

    try:
        files = download_pretrained(tag)
    except Exception as error:  # the zoo, the hub and the network raise what they like
        raise ValueError(
            f"'{tag}' is no directory here and cannot be downloaded ({error}): set "
            "speech_encoder_conf.asr_exp to an experiment directory, an archive or the "
            "tag of a published model"
        ) from error
    for name in TASKS:
        if f"{name}_train_config" in files:
            config = Path(files[f"{name}_train_config"])
            weights = Path(model_file or files[f"{name}_model_file"])
            options = read_yaml(config)
            return AsrExperiment(config, options, weights)
    raise ValueError(
        f"'{tag}' is no recognizer: it holds {', '.join(sorted(files))}, expected a "
        f"model of {', '.join(TASKS)}; set speech_encoder_conf.asr_exp to another tag"
    )


def task_of(options: Mapping) -> str:
    """Which of ``TASKS`` wrote these options; each leaves its own mark.

    Args:
        options: Contents of ``config.yaml``.

    Returns:
        A name in ``TASKS``.
    """
    preprocessor = options.get("preprocessor")
    if preprocessor in TASKS:
        return preprocessor
    return "st" if "src_token_list" in options else "asr"


def load_asr_model(
    asr_exp: str | Path,
    model_file: str | Path | None = None,
    whole: bool = False,
    with_decoder: bool = True,
):
    """Build and load the model of an ESPnet recognizer.

    Args:
        asr_exp: See ``find_asr_experiment``.
        model_file: Checkpoint; the default one by default.
        whole: Build ESPnet's own model, with its losses, whatever its parts are.
        with_decoder: False leaves out the attention decoder where parts are built, as
            importing it takes a fifth of a second.

    Returns:
        The model in evaluation mode, or its parts under the same names, and its options
        as a namespace.

    Raises:
        ValueError: A file is missing.
        RuntimeError: The checkpoint does not fit the configuration.
    """
    import argparse

    found = find_asr_experiment(str(asr_exp), model_file)
    args = argparse.Namespace(**found.options)
    model = _build_model(found.options, whole, with_decoder)
    if torch.get_default_device().type == "meta":  # sizes alone are asked for
        return model.eval(), args
    state = load_weights(found.weights)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(
            f"{found.weights} does not fit {found.config}: {error}"
        ) from error
    return model.eval(), args


def _build_model(options: Mapping, whole: bool, with_decoder: bool) -> nn.Module:
    """Build the parts alone where they are common ones: that imports no task."""
    name = task_of(options)
    if not whole and name in ("asr", "s2t") and RecognizerParts.fits(options):
        return RecognizerParts(options, with_decoder)
    import argparse
    import importlib

    module, task = TASKS[name]
    task = getattr(importlib.import_module(f"espnet2.tasks.{module}"), task)
    return task.build_model(argparse.Namespace(**options))


class EspnetAsrEncoder(EspnetStack):
    """Frontend, normalization and encoder of an ESPnet recognizer.

    Args:
        asr_exp: Experiment directory, tag or archive; see ``find_asr_experiment``.
        model_file: Checkpoint; the default one by default.
        value_layer: Block whose output gives the values; several for a mix.
        language: Of the speech, for OWSM-CTC; see ``conditions_of``.

    Raises:
        ValueError: A file is missing, or the model has parts that are not used here.
    """

    def __init__(
        self,
        asr_exp: str,
        model_file: str | None = None,
        value_layer: int | Sequence[int] = 1,
        language: str | None = None,
    ):
        model, args = load_asr_model(asr_exp, model_file, with_decoder=False)
        if getattr(model, "postencoder", None) is not None:
            raise ValueError(
                f"{asr_exp} has a postencoder, whose states would be left out: choose "
                "an experiment without one (speech_encoder_conf.asr_exp)"
            )
        super().__init__(
            model.frontend,
            model.normalize,
            model.encoder,
            sample_rate_of(args),
            value_layer,
            getattr(model, "preencoder", None),
            conditions_of(model, language),
        )
        self._files = asr_exp, model_file
        self._token_list = list(model.token_list)
        self.freeze()

    def decoder_state(self) -> Mapping[str, torch.Tensor]:
        """See ``AbsSpeechEncoder.decoder_state``."""
        return self._decoder[0]

    def decoder_sizes(self) -> Mapping[str, int]:
        """See ``AbsSpeechEncoder.decoder_sizes``."""
        state, heads = self._decoder
        return decoder_sizes(state, heads) if state else {}

    @cached_property
    def _decoder(self) -> tuple[dict[str, torch.Tensor], int]:
        """Weights and heads of a decoder that can initialise an aggregator, or nothing.

        Training alone needs it, so that nothing else takes the time to import it.
        """
        from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

        decoder = getattr(load_asr_model(*self._files)[0], "decoder", None)
        if isinstance(decoder, TransformerDecoder):
            heads = decoder.decoders[0].src_attn.h
            return decoder_state_from_espnet(decoder.state_dict()), heads
        logging.info("%s cannot initialise an aggregator", type(decoder).__name__)
        return {}, 0

    def token_list(self) -> list[str]:
        """See ``AbsSpeechEncoder.token_list``."""
        return self._token_list


def sample_rate_of(args) -> int:
    """Sample rate that the options of a recognizer name, Hz; ``16k`` is understood."""
    from humanfriendly import parse_size

    rate = (args.frontend_conf or {}).get("fs", 16000)
    return rate if isinstance(rate, int) else parse_size(str(rate))
