"""What all tasks of this package share.

Enters: options of an ESPnet task. Leaves: the training, or an error. Checkpoints are
whole files. Tables are data and nothing else: ESPnet reads ``kaldi_ark`` with a library
that runs commands and unpickles objects that a table names, so every entry is looked at
before.
"""

import argparse
from collections.abc import Callable

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn

from espnet2_taste.data.arks import ArkTable
from espnet2_taste.tasks.trainers import WholeFileTrainer


class PlainTables:
    """Mixin for ESPnet's tasks."""

    trainer = WholeFileTrainer

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """See ``AbsTask.main_worker``.

        Raises:
            ValueError: An entry of a table is no plain array.
        """
        for part in ("train", "valid"):
            for path, _, kind in getattr(args, f"{part}_data_path_and_name_and_type"):
                if kind.startswith("kaldi_ark"):
                    ArkTable(path).check()
        super().main_worker(args)


class TableTask(PlainTables, AbsTask):
    """A task that names its data.

    Attributes:
        required: Data that each set must give.
        needed: Those of them that inference needs too; None for all.
        optional: Data that may be given.
        not_sequence: Those without a length.
    """

    num_optimizers = 1
    class_choices_list = ()
    required: tuple[str, ...] = ("text",)
    needed: tuple[str, ...] | None = None
    optional: tuple[str, ...] = ()
    not_sequence: tuple[str, ...] = ()

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad ids with -1, numbers with 0."""
        return CommonCollateFn(
            float_pad_value=0.0, int_pad_value=-1, not_sequence=cls.not_sequence
        )

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """See :attr:`required`."""
        return cls.needed if inference and cls.needed else cls.required

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """See :attr:`optional`."""
        return cls.optional
