"""The vocabulary of a trained speech recognizer, for a recipe that is given one.

Enters: an ESPnet experiment. Leaves: a token directory as ``train_sentencepiece``
writes it. Text tokens must be those of the recognizer: its decoder's embeddings start
the aggregator, and its CTC head times the words.
"""

import shutil
from pathlib import Path

from espnet2_taste.text.tokenizers import read_token_list
from espnet2_taste.text.training import write_directory, write_tokens

TOKEN_TYPES = ("bpe", "char")


def copy_tokens(asr_exp: str | Path, output_dir: str | Path) -> str:
    """Write the vocabulary of a recognizer.

    Args:
        asr_exp: Experiment directory, archive or tag of a published model.
        output_dir: Receives ``tokens.txt``, ``token_type`` and, for sentencepiece,
            ``bpe.model``.

    Returns:
        The kind of vocabulary.

    Raises:
        ValueError: The experiment or its sentencepiece model is missing, or its
            vocabulary is of another kind.
    """
    from espnet2_taste.tokenizer.encoders.espnet_asr import find_recognizer

    found = find_recognizer(str(asr_exp))
    token_type = found.options.get("token_type")
    if token_type not in TOKEN_TYPES:
        raise ValueError(
            f"--asr_exp {asr_exp}: its token_type is '{token_type}', expected one of "
            f"{', '.join(TOKEN_TYPES)}; choose another recognizer"
        )
    tokens = read_token_list(found.options["token_list"])
    bpemodel = None
    if token_type == "bpe":
        bpemodel = find_beside(found.config, found.options.get("bpemodel"))

    def fill(directory: Path) -> None:
        write_tokens(directory, tokens, token_type)
        if bpemodel is not None:
            shutil.copyfile(bpemodel, directory / "bpe.model")

    write_directory(Path(output_dir), fill)
    return token_type


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
