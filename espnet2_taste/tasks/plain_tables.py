"""Tables that a training is given are data and nothing else.

Enters: options of an ESPnet task. Leaves: the training, or an error: ESPnet reads
``kaldi_ark`` with a library that runs commands and unpickles objects that a table
names, so every entry is looked at before.
"""

import argparse

from espnet2_taste.data.arks import ArkTable


class PlainTables:
    """Mixin for ESPnet's tasks."""

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
