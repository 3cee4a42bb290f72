"""The option ``--recognizer`` of commands, which name a recognizer before it is needed.

Enters: parsed options. Leaves: an aligner, loaded when it is first asked for. Nothing
here imports what takes seconds.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.align.abs_aligner import AbsAligner


def add_recognizer_arguments(
    parser: argparse.ArgumentParser, required: bool = False
) -> None:
    """Add ``--recognizer`` and ``--recognizer_conf``; see ``recognizers.choices``.

    Args:
        parser: Of a command.
        required: Whether the command needs a recognizer.
    """
    parser.add_argument(
        "--recognizer",
        required=required,
        help="Recognizer: ESPnet experiment, Hugging Face directory or hub name, or a "
        "YAML file that names one",
    )
    parser.add_argument(
        "--recognizer_conf",
        action=NestedDictAction,
        default={},
        help="Its options, e.g. language=de",
    )


@dataclass
class LazyAligner:
    """Loads the aligner of a recognizer when the first set needs it.

    Args:
        recognizer: See ``recognizers.choices``.
        conf: Its options.
        device: Torch device.
    """

    recognizer: str
    conf: Mapping[str, Any]
    device: str
    aligner: AbsAligner | None = None

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> "LazyAligner":
        """Build from the options of a command with ``--ngpu``."""
        device = "cuda" if args.ngpu else "cpu"
        return cls(args.recognizer, args.recognizer_conf, device)

    def __call__(self) -> AbsAligner:
        """Return the aligner."""
        if self.aligner is None:
            from espnet2_taste.recognizers.choices import load_recognizer

            found = load_recognizer(self.recognizer, self.conf)
            self.aligner = found.aligner(self.device)
        return self.aligner
