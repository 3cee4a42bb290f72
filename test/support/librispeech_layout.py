"""Real recordings in LibriSpeech's layout, so that its recipes can be run on them.

Enters: Kaldi-style folders of recordings (``mini_real_train`` and ``mini_real_test`` of
one folder, all sets of the others). Leaves: ``train-clean-5`` with 79 minutes of ten
readers, ``dev-clean-2`` with eight readers that are not in it, ``SPEAKERS.TXT``;
transcripts in upper case without punctuation, audio as links.

Example:
    python test/support/librispeech_layout.py downloads ../shared/realspeech \\
        ../shared/realspeech_extra
"""

import sys
from collections import defaultdict
from pathlib import Path

from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.text.normalizers import BasicNormalizer

PARTS = {"mini_real_train": "train-clean-5", "mini_real_test": "dev-clean-2"}


def find_sets(sources: list[Path]) -> dict[str, list[Path]]:
    """Folders of sets by the part of the corpus they go to."""
    first, *others = sources
    found = defaultdict(list)
    for name, part in PARTS.items():
        found[part].append(first / "data" / name)
    for source in others:
        found["train-clean-5"] += sorted((source / "data").iterdir())
    return found


def librispeech_id(utterance: str, speaker: str) -> str:
    """``<speaker>-<chapter>-<number>``, for ids of other corpora as well.

    Example:
        >>> librispeech_id("LJ001-0002", "LJ")
        'LJ-LJ001-0002'
    """
    return utterance if utterance.count("-") == 2 else f"{speaker}-{utterance}"


def lay_out(folder: Path, target: Path) -> set[str]:
    """Add the utterances of a set to a part of the corpus.

    Returns:
        Its speakers.
    """
    wav, text = read_table(folder / "wav.scp"), read_table(folder / "text")
    speakers = read_table(folder / "utt2spk")
    normalizer = BasicNormalizer()
    for utterance in sorted(wav):
        name = librispeech_id(utterance, speakers[utterance])
        chapter = target / Path(*name.split("-")[:2])
        chapter.mkdir(parents=True, exist_ok=True)
        audio = (folder.parents[1] / wav[utterance]).resolve()
        (chapter / f"{name}.flac").symlink_to(audio)
        transcripts = chapter / f"{name.rsplit('-', 1)[0]}.trans.txt"
        with transcripts.open("a", encoding="utf-8") as stream:
            stream.write(f"{name} {normalizer(text[utterance]).upper()}\n")
    return set(speakers.values())


def write_corpus(target: Path, sources: list[Path]) -> None:
    """Write the corpus to ``target``, which must not exist."""
    target.mkdir(parents=True)
    lines = [";ID |SEX| SUBSET |MINUTES| NAME"]
    for part, folders in find_sets(sources).items():
        speakers = set().union(*(lay_out(folder, target / part) for folder in folders))
        lines += [f"{name} | - | {part} | - | -" for name in sorted(speakers)]
    (target / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
