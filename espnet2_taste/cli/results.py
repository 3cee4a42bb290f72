"""Results of a part on disk: words, codes, times, speakers, speech, what was dropped.

Legend: W words, Q codebooks, E speaker features.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from espnet2_taste.data.arks import write_ark
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.checks import audio_file
from espnet2_taste.data.ctm import write_ctm, write_rows
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.structures import WordCodes

SHOWN = 20  # utterances that are printed


def write_words(folder: Path, items: Mapping) -> None:
    """Write the table ``words`` of utterances, ``WordCodes`` by id."""
    write_table(folder / "words", {n: " ".join(i.words) for n, i in items.items()})


def write_tokens(folder: Path, items: Mapping, voices: Mapping) -> None:
    """Write tokenized utterances; paths begin at the folder.

    Args:
        folder: Where the files go.
        items: ``SpeechTokens``, or ``UnitTokens``, by utterance id.
        voices: Speakers (E,) by utterance id; none is fine.
    """
    coded = {n: item for n, item in items.items() if isinstance(item, WordCodes)}
    if coded or not items:
        write_ark(folder, "codes", {n: item.codes for n, item in coded.items()}, True)
    if voices:
        write_ark(folder, "spembs", voices, True)
    write_words(folder, items)
    models = {n: i.model for n, i in coded.items() if i.model}
    if models:
        write_table(folder / "model", models)
    timed = {n: i for n, i in coded.items() if i.timings}
    if timed:
        write_ctm(folder / "ctm", {n: i.timings for n, i in timed.items()})
        scores = {
            n: f"{i.alignment:.3f} {min(i.word_alignment):.2g}"
            for n, i in timed.items()
        }
        write_table(folder / "alignment", scores)


def write_speech(folder: Path, spoken: Mapping) -> None:
    """Write ``audio/<name>.wav``, ``wav.scp``, ``units`` and, where known, ``ctm``.

    Paths begin at the folder; the times of words are those within the audio.

    Args:
        folder: Where the files go.
        spoken: ``DecodedSpeech`` by utterance id.
    """
    (folder / "audio").mkdir(exist_ok=True)
    for name, item in spoken.items():
        write_audio(audio_file(folder, name), item.wave, item.sample_rate)
    rows = {n: " ".join(map(str, item.units.tolist())) for n, item in spoken.items()}
    write_table(folder / "units", rows)
    timings = {name: item.timings for name, item in spoken.items() if item.timings}
    if timings:
        write_ctm(folder / "ctm", timings)
    wavs = {name: audio_file(Path(), name).as_posix() for name in spoken}
    write_table(folder / "wav.scp", wavs)


def show_speech(output: Path) -> None:
    """Print the audio file and the words of each utterance, of long lists the first.

    Args:
        output: Folder of the results.
    """
    if not (output / "wav.scp").is_file():
        return
    wavs, words = read_table(output / "wav.scp"), read_table(output / "words")
    for name, path in list(wavs.items())[:SHOWN]:
        print(f"{output / path}  {words[name]}")
    if len(wavs) > SHOWN:
        print(f"... and {len(wavs) - SHOWN} more: {output / 'wav.scp'}")


def usable(
    work: Callable[[Sequence[str]], list], names: Sequence[str], dropped: dict
) -> dict:
    """Do the work on a batch; if it is refused, on each utterance alone.

    Args:
        work: Gives one result an utterance.
        names: Utterance ids.
        dropped: Receives the reason of each utterance that cannot be used.

    Returns:
        Results by utterance id.
    """
    try:
        return dict(zip(names, work(names), strict=True))
    except ValueError as error:
        if len(names) == 1:
            dropped[names[0]] = str(error)
            return {}
    found: dict = {}
    for name in names:
        found |= usable(work, [name], dropped)
    return found


def write_dropped(folder: Path, dropped: Mapping[str, str]) -> None:
    """Write ``dropped.tsv``, if anything was."""
    if dropped:
        rows = [[" ".join(cell.split()) for cell in row] for row in dropped.items()]
        write_rows(folder / "dropped.tsv", ("utt", "reason"), rows)
