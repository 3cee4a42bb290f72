"""ESPnet task that trains a vocoder from speech units and speaker embeddings.

Enters, per utterance: ``speech`` (sound), ``units`` (kaldi_ark), ``spembs`` (kaldi_ark)
and, optionally, ``pitch`` (kaldi_ark, F0 in Hz every 10 ms, made once by
``espnet2_taste.bin.data pitch``; measured at each access where it is not given).
A vocoder with a discriminator is trained by ``GanUnitVocoderTask``; ``main`` of
``bin/unit_vocoder_train.py`` takes the task that the vocoder needs.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from espnet2.tasks.abs_task import optim_classes
from espnet2.train.preprocessor import AbsPreprocessor
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.espnet_unit_vocoder_model import (
    ESPnetGanUnitVocoderModel,
    ESPnetUnitVocoderModel,
)
from espnet2_taste.metrics.pitch import track_pitch
from espnet2_taste.tasks.abs_task import TableTask
from espnet2_taste.tasks.arguments import add_units_dir_argument
from espnet2_taste.tasks.build_unit_vocoder import build_unit_vocoder, vocoder_choices
from espnet2_taste.tasks.parts import build_model
from espnet2_taste.tasks.trainers import WholeFileGanTrainer
from espnet2_taste.vocoder.gan_vocoder import AbsGanUnitVocoder


class UnitVocoderPreprocessor(AbsPreprocessor):
    """Adds ``pitch`` to utterances that come without it.

    Args:
        train: Whether the data are for training.
        fs: Sample rate of ``speech``.
    """

    def __init__(self, train: bool, fs: int):
        super().__init__(train)
        self.fs = fs

    def __call__(self, uid: str, data: dict) -> dict[str, np.ndarray]:
        """Complete one utterance.

        Args:
            uid: Utterance id.
            data: ``speech`` (S,), ``units`` (U,), ``spembs`` (D,) and, if given,
                ``pitch`` (P,).

        Returns:
            The same with ``pitch``.

        Raises:
            ValueError: The utterance has no units.
        """
        if len(data["units"]) == 0:
            raise ValueError(
                f"utterance {uid}: no speech units; leave it out of the 'units' file "
                "of its data directory"
            )
        if data.get("pitch") is None:
            data["pitch"] = track_pitch(data["speech"], self.fs).astype(np.float32)
        return data


class UnitVocoderTask(TableTask):
    """Trains ``--vocoder`` with ESPnet's trainer."""

    class_choices_list = [vocoder_choices]
    required = ("speech", "units", "spembs")
    needed = ("units", "spembs")
    optional = ("pitch",)
    not_sequence = ("spembs",)
    model_class = ESPnetUnitVocoderModel

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser):
        """Add the vocoder, its options and those of the training model."""
        group = parser.add_argument_group("Task related")
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetUnitVocoderModel),
            help="Keyword arguments of the training model (fs: rate of the data).",
        )
        add_units_dir_argument(group)
        for choices in cls.class_choices_list:
            choices.add_arguments(group)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[[str, dict], dict[str, np.ndarray]]:
        """The preprocessor of one utterance."""
        return UnitVocoderPreprocessor(train, fs=args.model_conf.get("fs", 16000))

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetUnitVocoderModel:
        """See :func:`build_unit_vocoder`."""
        build = partial(build_unit_vocoder, model_class=cls.model_class)
        return build_model(build, args)


class GanUnitVocoderTask(UnitVocoderTask):
    """Trains a ``--vocoder`` that has a discriminator, with ESPnet's GAN trainer."""

    num_optimizers: int = 2
    trainer = WholeFileGanTrainer
    model_class = ESPnetGanUnitVocoderModel

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetGanUnitVocoderModel:
        """Build the model, half of which gets no gradient in each step."""
        args.unused_parameters = True
        return super().build_model(args)

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: ESPnetGanUnitVocoderModel
    ) -> list[torch.optim.Optimizer]:
        """One optimizer (``--optim``) for the generator, ``--optim2`` for the rest."""
        parts = (model.vocoder.generator, model.vocoder.discriminator)
        choices = ((args.optim, args.optim_conf), (args.optim2, args.optim2_conf))
        for name, _ in choices:
            if name not in optim_classes:
                raise ValueError(
                    f"--optim is '{name}', expected one of {sorted(optim_classes)}"
                )
        return [
            optim_classes[name](part.parameters(), **conf)
            for part, (name, conf) in zip(parts, choices)
        ]


def task_of(vocoder: str) -> type[UnitVocoderTask]:
    """The task that trains a vocoder.

    Args:
        vocoder: In ``vocoder_choices``.

    Returns:
        The task class.
    """
    has_discriminator = issubclass(
        vocoder_choices.get_class(vocoder), AbsGanUnitVocoder
    )
    return GanUnitVocoderTask if has_discriminator else UnitVocoderTask
