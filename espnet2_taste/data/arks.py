"""Arrays by utterance on disk: Kaldi ``ark`` with its ``scp``.

Legend: the arrays are matrices (W, Q) or vectors (E,), written as float32, which is
exact for integers below 2 ** 24 (Kaldi has no integer matrices).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from espnet2_taste.data.kaldi_dir import sort_keys, write_lines


def write_ark(
    folder: Path,
    name: str,
    arrays: Mapping[str, np.ndarray],
    final_folder: Path | None = None,
) -> None:
    """Write ``<name>.ark``, then ``<name>.scp``, sorted by the bytes of the ids.

    Args:
        folder: Where they go.
        name: Beginning of both names.
        arrays: By utterance id.
        final_folder: Where the folder will be when it is finished, which the scp
            names; ``folder`` by default.
    """
    import kaldiio

    ark, temporary = folder / f"{name}.ark", folder / f"{name}.ark.tmp"
    shown, lines = (final_folder or folder) / ark.name, []
    with open(temporary, "wb") as stream:
        for key in sort_keys(arrays):
            stream.write(f"{key} ".encode())
            lines.append(f"{key} {shown}:{stream.tell()}")
            kaldiio.save_mat(stream, np.asarray(arrays[key]).astype(np.float32))
    temporary.replace(ark)
    write_lines(folder / f"{name}.scp", lines)
