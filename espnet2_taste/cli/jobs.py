"""What the sub-commands do to utterances with a packed model.

Enters: ids of utterances, from ``run_job``. Leaves: in a folder what each became, and
in ``dropped.tsv`` those that the model refused. Legend: B utterances, E speaker
features.
"""

import argparse
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from espnet2_taste.cli import arguments, results, sources
from espnet2_taste.cli.parts import Job


@dataclass(frozen=True)
class ModelJob(Job):
    """Does something with a packed model; one bad utterance costs no other one.

    Attributes:
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
    """

    model: str
    cache_dir: str | None

    @classmethod
    def from_args(
        cls, args: argparse.Namespace, inputs: Sequence[str] = (), **fields: Any
    ):
        """The job that options describe.

        Args:
            args: Options of a command.
            inputs: See ``arguments.settings_of``.
            **fields: Those of the subclass.
        """
        settings = arguments.settings_of(args, inputs)
        return cls(settings, args.batch_size, args.model, args.cache_dir, **fields)

    def work(self, model, names: Sequence[str], folder: Path) -> None:
        """See ``Job.work``."""
        found, dropped = {}, {}
        for start in range(0, len(names), self.batch_size):
            batch = list(names[start : start + self.batch_size])
            found |= results.usable(partial(self.process, model), batch, dropped)
        self.write(model, found, folder)
        results.write_dropped(folder, dropped)

    @abstractmethod
    def process(self, model, names: Sequence[str]) -> list:
        """What becomes of B utterances; by default tokens, speaker and speech.

        Raises:
            ValueError: One of them cannot be used.
        """

    def write(self, model, found: Mapping[str, Any], folder: Path) -> None:
        """Write what :meth:`process` gave by utterance id.

        Here ``SpeechTokens``, speaker (E,) or None, ``DecodedSpeech`` or None.
        """
        voices = {n: voice for n, (_, voice, _) in found.items() if voice is not None}
        spoken = {n: speech for n, (*_, speech) in found.items() if speech is not None}
        results.write_tokens(folder, {n: row[0] for n, row in found.items()}, voices)
        if spoken:
            results.write_speech(folder, spoken)


@dataclass(frozen=True)
class SourceJob(ModelJob):
    """Does something to utterances that arguments name.

    Attributes:
        source: The utterances.
    """

    source: sources.Source
