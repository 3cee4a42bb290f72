"""ESPnet's trainers, such that a training may be killed at any moment and go on later.

Enters and leaves: what ESPnet's trainers take and write. A kill costs one epoch at
most, in all processes of a training; only the first touches files.
"""

from pathlib import Path

import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.gan_trainer import GANTrainer
from espnet2.train.reporter import SubReporter
from espnet2.train.trainer import Trainer, TrainerOptions

from espnet2_taste.resuming import complete_epoch, forget_former, set_aside


def _writes_files(option: DistributedOption) -> bool:
    return not option.distributed or option.dist_rank == 0


class _WholeFiles:
    """Mixin for ESPnet's trainers: there is a whole checkpoint at all times."""

    @classmethod
    def run(
        cls,
        *,
        trainer_options: TrainerOptions,
        distributed_option: DistributedOption,
        **parts,
    ) -> None:
        """Complete what an earlier kill has left, then train as ESPnet does.

        Args:
            trainer_options: As ESPnet's.
            distributed_option: As ESPnet's.
            **parts: Model, optimizers, schedulers and iterators.
        """
        experiment = Path(trainer_options.output_dir)
        writes = _writes_files(distributed_option)
        if writes and trainer_options.resume:
            begin = {
                "optimizers": [part.state_dict() for part in parts["optimizers"]],
                "schedulers": [p and p.state_dict() for p in parts["schedulers"]],
                "scaler": None,
            }
            complete_epoch(experiment, trainer_options.best_model_criterion, begin)
        if writes:
            forget_former(experiment)
        if distributed_option.distributed:
            torch.distributed.barrier()
        super().run(
            trainer_options=trainer_options,
            distributed_option=distributed_option,
            **parts,
        )
        if writes:
            forget_former(experiment)

    @classmethod
    def validate_one_epoch(
        cls,
        *,
        reporter: SubReporter,
        options: TrainerOptions,
        distributed_option: DistributedOption,
        **parts,
    ) -> None:
        """Validate; ESPnet writes the next checkpoint after that.

        Args:
            reporter: As ESPnet's.
            options: As ESPnet's.
            distributed_option: As ESPnet's.
            **parts: Model and iterator.
        """
        super().validate_one_epoch(
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
            **parts,
        )
        if _writes_files(distributed_option) and reporter.epoch > 1:
            set_aside(Path(options.output_dir))


class WholeFileTrainer(_WholeFiles, Trainer):
    """ESPnet's trainer that keeps a whole checkpoint at all times."""


class WholeFileGanTrainer(_WholeFiles, GANTrainer):
    """ESPnet's GAN trainer that keeps a whole checkpoint at all times."""
