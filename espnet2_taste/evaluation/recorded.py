"""Recordings of another system, or of people, as continuations of prompts.

Enters: folders of recordings, sets with word times. Leaves: what a design of this
package leaves for a set, so that every later step treats them as one more row.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import read_ctm, write_rows
from espnet2_taste.data.kaldi_dir import read_table, sort_keys, write_table
from espnet2_taste.data.prompt_words import read_prompt_words
from espnet2_taste.data.recording_writer import RecordingWriter


def recordings(place: Path) -> dict[str, Path]:
    """Audio files by name.

    Args:
        place: Folder of wav and flac files, or a manifest whose paths are relative to
            its folder.

    Returns:
        Paths.

    Raises:
        ValueError: Nothing there.
    """
    if place.is_file():
        return {name: place.parent / path for name, path in read_table(place).items()}
    files = (p for p in sorted(place.glob("*")) if p.suffix in (".wav", ".flac"))
    found = {path.stem: path for path in files}
    if not found:
        raise ValueError(
            f"{place}: expected <utt>.wav or <utt>.flac, found none; give a folder of "
            "recordings, or a manifest of lines 'utt path'"
        )
    return found


def true_endings(
    folder: Path, ctm: str, rate: int, default_words: int
) -> dict[str, np.ndarray]:
    """What the recordings of a set say after their prompts.

    Args:
        folder: The set, perhaps with ``prompt_words``.
        ctm: Its file with times of words.
        rate: Samples a second.
        default_words: Words of a prompt without that table.

    Returns:
        Samples (S,) by utterance id, from the first word after the prompt on;
        utterances that end with their prompt are left out.

    Raises:
        ValueError: No word times, or no prompt is shorter than its utterance.
    """
    if not (folder / ctm).is_file():
        raise ValueError(
            f"{folder} has no {ctm}: run recognize align (stage 4) or give --ctm"
        )
    wavs, times, endings = read_table(folder / "wav.scp"), read_ctm(folder / ctm), {}
    counts = read_prompt_words(folder)
    if counts is None:
        counts = dict.fromkeys(wavs, default_words)
    for name, count in counts.items():
        if count < len(times.get(name, [])):
            start = int(times[name][count].start * rate)
            endings[name] = load_speech(wavs[name], rate, keep_silence=True)[start:]
    if not endings:
        raise ValueError(
            f"{folder}: expected prompts shorter than their utterances in {ctm}, found "
            "none to cut; correct prompt_words, or give recordings with --wavs"
        )
    return endings


def given_recordings(wavs: Path, name: str, rate: int) -> dict[str, np.ndarray]:
    """Samples (S,) of the recordings given for a set, by utterance id.

    Args:
        wavs: Folder, with or without a folder of the set in it, or manifest.
        name: Of the set.
        rate: Samples a second.

    Returns:
        All that there are.
    """
    place = wavs / name if (wavs / name).is_dir() else wavs
    return {
        utterance: load_speech(path, rate, keep_silence=True)
        for utterance, path in recordings(place).items()
    }


def given_texts(wavs: Path) -> dict[str, str]:
    """What the system says that it said: ``text`` beside its recordings, if there."""
    transcript = wavs / "text" if wavs.is_dir() else wavs.with_name("text")
    return read_table(transcript) if transcript.is_file() else {}


def add_set(
    speech: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
    prompts: Mapping[str, str],
    output: Path,
    rate: int,
    audio_format: str = "wav",
) -> tuple[int, int]:
    """Write the recordings of one set as a design's continuations.

    Args:
        speech: Samples (S,) by utterance id; those without a prompt are left out.
        texts: What they say, where known.
        prompts: Text of each prompt.
        output: Where the files go.
        rate: Samples a second.
        audio_format: One of ``recording_writer.FORMATS``.

    Returns:
        Prompts that are continued and those that are not.
    """
    (output / "prompt").mkdir(parents=True, exist_ok=True)
    names = sort_keys(set(prompts) & set(speech))
    with RecordingWriter(output, rate, audio_format) as writer:
        table = {name: writer(name, speech[name]) for name in names}
    missing = sort_keys(set(prompts) - set(speech))
    rows = [(name, "no recording") for name in missing]
    write_rows(output / "missing.tsv", ("utt", "reason"), rows)
    write_table(output / "text", {name: texts.get(name, "") for name in names})
    write_table(output / "prompt" / "text", {name: prompts[name] for name in names})
    write_table(output / "wav.scp", table)
    return len(table), len(missing)
