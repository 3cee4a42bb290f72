"""The layouts of LibriSpeech and LibriTTS become tables of utterances.

Enters: the folder of one part of a corpus, ``<part>/<speaker>/<chapter>/``. LibriSpeech
has ``<speaker>-<chapter>-<number>.flac`` there and all transcripts of the chapter in
``<speaker>-<chapter>.trans.txt``; LibriTTS has ``<utterance>.wav`` with
``<utterance>.normalized.txt``. Leaves: the tables of a set, or of two sets when some
utterances are held out.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from espnet2_taste.data.files import read_text
from espnet2_taste.data.kaldi_dir import KaldiDir, read_table, sort_keys

Rows = Iterator[tuple[str, Path, str]]


def librispeech_rows(chapter: Path) -> Rows:
    """Utterance id, audio and transcript of each utterance of a LibriSpeech chapter.

    Raises:
        ValueError: A transcript file cannot be read.
    """
    for transcripts in sorted(chapter.glob("*.trans.txt")):
        for utterance, text in read_table(transcripts).items():
            yield utterance, chapter / f"{utterance}.flac", text


def libritts_rows(chapter: Path) -> Rows:
    """Utterance id, audio and transcript of each utterance of a LibriTTS chapter."""
    for transcript in sorted(chapter.glob("*.normalized.txt")):
        utterance = transcript.name.removesuffix(".normalized.txt")
        text = " ".join(read_text(transcript).split())
        yield utterance, chapter / f"{utterance}.wav", text


def read_part(part: Path, rows: Callable[[Path], Rows]) -> KaldiDir:
    """Read one part of a corpus, e.g. ``train-clean-5``.

    Args:
        part: Its folder, with a folder for each speaker.
        rows: :func:`librispeech_rows` or :func:`libritts_rows`.

    Returns:
        The tables. Audio that is missing stays in them: stage 2 lists it.

    Raises:
        ValueError: There is no such folder, or no transcript in it.
    """
    tables = KaldiDir({}, {}, {})
    for chapter in sorted(part.glob("*/*")):
        for utterance, audio, text in rows(chapter):
            tables.wav[utterance] = str(audio.absolute())
            tables.text[utterance] = text
            tables.utt2spk[utterance] = chapter.parent.name
    if not tables.wav:
        raise ValueError(
            f"{part}: expected <speaker>/<chapter>/ with audio and transcripts, found "
            "none. Name the folder of the corpus in db.sh"
        )
    return tables


def hold_out(utt2spk: Mapping[str, str], number: int, smallest: int = 50) -> list[str]:
    """Choose utterances of known speakers that training does not see.

    They are taken in turn from the speakers with the most utterances, and evenly from
    what each of them reads.

    Args:
        utt2spk: Speaker of each utterance.
        number: How many utterances are wanted.
        smallest: Speakers with fewer utterances give none.

    Returns:
        Their ids, sorted; fewer than asked for where speakers with enough are few (no
        speaker gives more than a quarter of what it has).

    Example:
        >>> hold_out({f"a-{i}": "a" for i in range(8)}, 2, smallest=8)
        ['a-2', 'a-6']
    """
    speakers: dict[str, list[str]] = {}
    for utterance in sort_keys(utt2spk):
        speakers.setdefault(utt2spk[utterance], []).append(utterance)
    groups = [ids for ids in speakers.values() if len(ids) >= smallest]
    groups.sort(key=len, reverse=True)
    shares = [len(range(place, number, len(groups))) for place in range(len(groups))]
    chosen = []
    for ids, share in zip(groups, shares):
        share = min(share, len(ids) // 4)
        chosen += [ids[(2 * i + 1) * len(ids) // (2 * share)] for i in range(share)]
    return sort_keys(chosen)


def split_tables(tables: KaldiDir, chosen: list[str]) -> tuple[KaldiDir, KaldiDir]:
    """Split a set into the utterances that are not in ``chosen`` and those that are."""
    wanted = set(chosen)
    others = tables.only(name for name in tables.wav if name not in wanted)
    return others, tables.only(name for name in tables.wav if name in wanted)
