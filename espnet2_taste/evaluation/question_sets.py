"""Sets of spoken questions on disk, from a folder of questions or from pairs.

Enters: recordings of questions with their accepted answers, or sentence pairs whose
words have known times. Leaves: Kaldi-style sets with ``prompt_words`` (the whole
question is the prompt) and ``answers.tsv``, which go through the stages as prompts do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.checks import check_name, find_audio
from espnet2_taste.data.ctm import read_ctm, read_rows, write_ctm, write_rows
from espnet2_taste.data.finished import (
    finish_folder,
    is_finished,
    set_record,
    start_folder,
)
from espnet2_taste.data.kaldi_dir import KaldiDir, read_kaldi_dir, write_kaldi_dir
from espnet2_taste.data.recording_writer import RecordingWriter
from espnet2_taste.evaluation.questions import HEADER, cut_cloze, related_endings
from espnet2_taste.structures import WordTiming
from espnet2_taste.text.normalizers import BasicNormalizer

RECORD = "questions.json"
COLUMNS = ("utt", "question", "answer")


@dataclass(frozen=True)
class Question:
    """A spoken question.

    Attributes:
        name: Utterance id.
        speaker: Who asks.
        audio: Its recording.
        text: Its words.
        answers: Accepted answers.
        end: Second at which the question ends, None for the recording's end.
        timings: Its words in time; empty if unknown.
    """

    name: str
    speaker: str
    audio: Path
    text: str
    answers: tuple[str, ...]
    end: float | None = None
    timings: tuple[WordTiming, ...] = ()


def read_questions(source: Path) -> list[Question]:
    """Read a folder with ``questions.tsv`` and ``<utt>.wav``.

    Args:
        source: The folder. Its table has the columns ``utt``, ``question`` and
            ``answer``, one line an accepted answer.

    Returns:
        Questions in the order of the table, their text normalised.

    Raises:
        ValueError: A column, a recording or a word is missing, or a question has two
            texts.
    """
    texts: dict[str, str] = {}
    answers: dict[str, list[str]] = {}
    path = source / "questions.tsv"
    for row in read_rows(path, dict.fromkeys(COLUMNS, str)):
        name, text = row["utt"], BasicNormalizer()(row["question"])
        if texts.setdefault(name, text) != text or not text:
            raise ValueError(
                f"{path}: expected one text with words for question '{name}', found "
                f"'{texts[name]}' and '{text}'; give each question an id of its own"
            )
        answers.setdefault(name, []).append(row["answer"])
    return [
        Question(name, name, _recording(source, name), text, tuple(answers[name]))
        for name, text in texts.items()
    ]


def _recording(source: Path, name: str) -> Path:
    """Audio file of a question."""
    check_name(name)
    for suffix in (".wav", ".flac"):
        if (source / f"{name}{suffix}").is_file():
            return (source / f"{name}{suffix}").absolute()
    raise ValueError(
        f"{source / name}.wav: expected a recording of question '{name}', found none; "
        "record or synthesize it, or remove its lines from questions.tsv"
    )


def read_clozes(source: Path, sentences: Iterable[Sequence[str]]) -> list[Question]:
    """Make questions of sentence pairs: the beginning is spoken, the ending asked for.

    Args:
        source: Set with ``pairs.tsv``, ``ctm`` and audio; pairs differ in one place.
        sentences: Words of more sentences that make sense. Endings that share a
            sentence are accepted for one another.

    Returns:
        A question a pair; it ends where the word after it begins.

    Raises:
        ValueError: A file is missing, or a pair does not fit.
    """
    tables, timings = read_kaldi_dir(source), read_ctm(source / "ctm")
    clozes = {}
    for row in read_rows(source / "pairs.tsv"):
        words = []
        for side in ("positive", "negative"):
            if row.get(side) not in tables.text:
                raise ValueError(
                    f"{source / 'pairs.tsv'}: '{row.get(side)}' is not in the set; "
                    "expected the columns positive and negative with utterance ids"
                )
            words.append(tables.text[row[side]].split())
        count, end = cut_cloze(row["positive"], *words)
        clozes[row["positive"]] = words[0], count, words[0][end]
    known = [words for words, *_ in clozes.values()]
    related = related_endings([e for *_, e in clozes.values()], [*known, *sentences])
    questions = []
    for name, (words, count, ending) in clozes.items():
        times, audio = timings.get(name, []), find_audio(tables.wav[name], source)
        if audio is None or len(times) != len(words):
            raise ValueError(
                f"{source}: '{name}' needs audio and a time in ctm for each of its "
                f"{len(words)} words, found {len(times)} times and "
                f"{'audio' if audio else 'no audio'}; run stages 2 to 4 on the set "
                "first"
            )
        said = (f"{name}-question", tables.utt2spk[name], audio)
        accepted = (ending, *sorted(related[ending] - {ending}))
        cut = (times[count].start, tuple(times[:count]))
        questions.append(Question(*said, " ".join(words[:count]), accepted, *cut))
    return questions


def write_question_set(
    target: Path,
    questions: list[Question],
    record: dict,
    sample_rate: int = 16000,
    audio_format: str = "wav",
) -> bool:
    """Write a set of questions, unless it is there.

    Args:
        target: The set's folder.
        questions: At least one.
        record: What it is made from.
        sample_rate: Of recordings that are cut, Hz.
        audio_format: Of those, one of ``recording_writer.FORMATS``.

    Returns:
        Whether anything was written.

    Raises:
        ValueError: The folder holds something else, or a recording cannot be read.
    """
    form = {"sample_rate": sample_rate, "audio_format": audio_format}
    record = set_record(record | form)
    if is_finished(target, RECORD, record):
        return False
    folder = start_folder(target, RECORD, record)
    tables = KaldiDir({}, {}, {})
    with RecordingWriter(folder, sample_rate, audio_format, target) as writer:
        for item in questions:
            tables.wav[item.name] = _recorded(item, writer)
            tables.text[item.name] = item.text
            tables.utt2spk[item.name] = item.speaker
    write_kaldi_dir(folder, tables)
    if all(item.timings for item in questions):
        write_ctm(folder / "ctm", {item.name: item.timings for item in questions})
    lengths = [(item.name, len(item.text.split())) for item in questions]
    write_rows(folder / "prompt_words", ("utt", "n_words"), lengths)
    rows = [(item.name, answer) for item in questions for answer in item.answers]
    write_rows(folder / "answers.tsv", HEADER, rows)
    finish_folder(folder, target)
    return True


def _recorded(item: Question, writer: RecordingWriter) -> str:
    """Entry of a question in ``wav.scp``; what follows it is cut off in a copy."""
    if item.end is None:
        return str(item.audio)
    rate = writer.sample_rate
    speech = load_speech(item.audio, rate, keep_silence=True)
    return writer(item.name, speech[: round(item.end * rate)])
