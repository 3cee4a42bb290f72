"""Align whole sets: the step between audio files and word times on disk.

Enters: ``wav.scp`` and ``text`` of a set. Leaves: word times and recognised text of
every utterance, and a list of those that could not be used, with the reason.

Legend: S samples, W words.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_taste.align.abs_aligner import AbsAligner
from espnet2_taste.data.audio import load_speech, read_header
from espnet2_taste.data.ctm import read_ctm, read_rows, write_ctm, write_rows
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.metrics.wer import WordErrors, total_errors
from espnet2_taste.structures import WordTiming
from espnet2_taste.text.normalizers import BasicNormalizer

PROBLEMS = "not_aligned.tsv"


@dataclass(frozen=True)
class AlignedSet:
    """Result for a set.

    Attributes:
        timings: Word times of each utterance that could be aligned.
        recognized: Text of each utterance whose audio could be read.
        problems: Utterances without word times and why.
    """

    timings: dict[str, list[WordTiming]]
    recognized: dict[str, str]
    problems: dict[str, str]

    def errors(self, texts: Mapping[str, str]) -> WordErrors:
        """Word errors against the transcripts; unread audio counts as deletions.

        Letter case and punctuation do not count.
        """
        plain = BasicNormalizer()
        return total_errors(
            (plain(text).split(), plain(self.recognized.get(name, "")).split())
            for name, text in texts.items()
        )

    def write(self, folder: Path, ctm_name: str, text_name: str | None) -> None:
        """Write word times, text and problems; the word times come last.

        Args:
            folder: Where to write.
            ctm_name: File of the word times.
            text_name: File of the recognised text; None where nothing was recognised.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if text_name:
            write_table(folder / text_name, self.recognized)
        rows = sorted(self.problems.items())
        write_rows(folder / PROBLEMS, ("utt", "reason"), rows)
        write_ctm(folder / ctm_name, self.timings)


def read_aligned_set(
    folder: Path, ctm_name: str, text_name: str | None
) -> AlignedSet | None:
    """Read what ``AlignedSet.write`` wrote; None if it is not there."""
    files = [folder / name for name in (ctm_name, PROBLEMS, text_name) if name]
    if not all(path.is_file() for path in files):
        return None
    rows = read_rows(files[1], {"utt": str, "reason": str})
    problems = {row["utt"]: row["reason"] for row in rows}
    recognized = read_table(files[2]) if text_name else {}
    return AlignedSet(read_ctm(files[0]), recognized, problems)


def align_set(
    aligner: AbsAligner,
    wavs: Mapping[str, str],
    texts: Mapping[str, str],
    batch_size: int = 16,
    label: str = "align",
    transcribe: bool = True,
) -> AlignedSet:
    """Align every utterance that has a transcript.

    Args:
        aligner: Who places the words.
        wavs: Audio file of each utterance.
        texts: Words of each utterance, separated by spaces.
        batch_size: Utterances at once.
        label: What the progress bar is called.
        transcribe: Recognize as well; where times are all that is needed, as of
            training sets, this spares the recognizer's search.

    Returns:
        Word times, recognised text and problems; every utterance of ``texts`` is in
        ``timings`` or in ``problems``.
    """
    timings, recognized, problems = {}, {}, {}
    batch: list[tuple[str, np.ndarray]] = []
    place = aligner.align if transcribe else aligner.time_words

    def flush() -> None:
        speech = [wave for _, wave in batch]
        words = [texts[name].split() for name, _ in batch]
        for (name, _), result in zip(batch, place(speech, words)):
            recognized[name] = " ".join(result.recognized)
            if result.problem:
                problems[name] = result.problem
            else:
                timings[name] = list(result.words)
        batch.clear()

    names = _longest_first(texts, wavs)  # similar lengths: little padding
    for name, wave in _read_all(aligner, wavs, names, problems, label):
        batch.append((name, wave))
        if len(batch) == batch_size:
            flush()
    if batch:
        flush()
    return AlignedSet(timings, recognized, problems)


def _longest_first(names: Iterable[str], wavs: Mapping[str, str]) -> list[str]:
    """Sort utterances by their samples; those that cannot be read come last."""
    samples = {}
    for name in names:
        try:
            samples[name] = read_header(wavs.get(name, "")).frames
        except ValueError:
            samples[name] = 0
    return sorted(samples, key=lambda name: (-samples[name], name))


def _read_all(
    aligner: AbsAligner,
    wavs: Mapping[str, str],
    names: Sequence[str],
    problems: dict[str, str],
    label: str,
) -> Iterator[tuple[str, np.ndarray]]:
    """Read the audio of each utterance; what can not be read becomes a problem."""
    from tqdm import tqdm

    for name in tqdm(names, desc=label):
        if name not in wavs:
            problems[name] = "no audio in wav.scp"
            continue
        try:
            yield name, load_speech(wavs[name], aligner.sample_rate, keep_silence=True)
        except ValueError as error:
            problems[name] = str(error)
