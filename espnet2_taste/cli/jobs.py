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
from types import MappingProxyType
from typing import Any, ClassVar

from espnet2_taste.cli import arguments, results
from espnet2_taste.cli.parts import Job, Outcome, run_job
from espnet2_taste.cli.sources import Source

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class ModelJob(Job):
    """Does something with a packed model; one bad utterance costs no other one.

    Attributes:
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
        given: The utterances.
        options: What else ``from_pretrained`` is given.
        kind: Class of ``espnet2_taste.inference`` that is loaded.
    """

    model: str
    cache_dir: str | None
    given: Source
    options: Mapping[str, Any]
    kind: ClassVar[str] = "TasteTokenizer"

    @classmethod
    def from_args(
        cls,
        args: argparse.Namespace,
        given: Source,
        options: Mapping[str, Any] = NO_OPTIONS,
        inputs: Sequence[str] = (),
        **fields: Any,
    ):
        """The job that options describe.

        Args:
            args: Options of a command.
            given: The utterances.
            options: Of ``from_pretrained``.
            inputs: See ``arguments.settings_of``.
            **fields: Those of the subclass.
        """
        settings = arguments.settings_of(args, inputs)
        place = (args.batch_size, args.model, args.cache_dir)
        return cls(settings, *place, given, dict(options), **fields)

    def run(
        self, args: argparse.Namespace, inputs: Mapping[str, str] | None = None
    ) -> Outcome:
        """Do it to all utterances, or to those of ``inputs``; show what is spoken.

        Args:
            args: Options of a command.
            inputs: See ``run_job``; those of the given utterances when None.
        """
        inputs = self.given.inputs if inputs is None else inputs
        how = (args.part_size, args.nj, args.ngpu)
        outcome = run_job(self, inputs, Path(args.output), *how)
        results.show_speech(outcome.output)
        return outcome

    def load(self, device):
        """See ``Job.load``."""
        from espnet2_taste import inference

        load = getattr(inference, self.kind).from_pretrained
        return load(self.model, self.cache_dir, device=device, **self.options)

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
