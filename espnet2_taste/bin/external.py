"""Let the recordings of another system take part: they are scored, nothing else.

Enters: for each set a folder of wavs named after utterance ids, or a manifest of lines
``utt path``, of continuations alone, and the sets with their prompts. With
--true_endings instead, the recordings of the sets are cut where their prompts end: how
people went on, the mark that no system is expected to pass. Leaves
<output_dir>/<set> as a design of this package does: ``wav.scp`` of the continuations
(``text`` empty unless given: the evaluation transcribes) and ``prompt/text``, so that
every later step treats it as one more row. Prompts without a recording are listed in
``missing.tsv``.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.external --dump_dir dump/raw --sets prompts \\
      --wavs downloads/other_system --output_dir exp/other_system/continuation
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = ArgumentParser(
        description="Let the recordings of another system take part",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--wavs", help="Folder with <set>/<utt>.wav, or a manifest")
    add(
        "--true_endings",
        type=str2bool,
        default=False,
        help="Instead of --wavs: the sets' own recordings after their prompts",
    )
    add("--ctm", default="ctm", help="Word times of the sets, for --true_endings")
    add("--prompt_words", type=int, default=4, help="Without a prompt_words table")
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--sets", required=True, help="Names of sets, one string")
    add("--output_dir", required=True, help="Parent of the results")
    add("--fs", type=int, default=16000, help="Sample rate of the results")
    return parser


def recordings(wavs: Path, name: str) -> dict[str, Path]:
    """Audio files by utterance id.

    Args:
        wavs: Folder, with or without a folder of the set in it, or a manifest whose
            paths are relative to its folder.
        name: Of the set.

    Returns:
        Paths.

    Raises:
        ValueError: Nothing there.
    """
    from espnet2_taste.data.kaldi_dir import read_table

    if wavs.is_file():
        return {u: wavs.parent / path for u, path in read_table(wavs).items()}
    folder = wavs / name if (wavs / name).is_dir() else wavs
    found = {
        p.stem: p for p in sorted(folder.glob("*")) if p.suffix in (".wav", ".flac")
    }
    if not found:
        raise ValueError(
            f"{folder}: expected <utt>.wav or <utt>.flac, found none; give a folder or "
            "a manifest of lines 'utt path' with --wavs"
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
    from espnet2_taste.data.audio import load_speech
    from espnet2_taste.data.ctm import read_ctm
    from espnet2_taste.data.kaldi_dir import read_table
    from espnet2_taste.data.prompt_words import read_prompt_words

    if not (folder / ctm).is_file():
        raise ValueError(
            f"{folder} has no {ctm}: run asr_align (stage 4) or give --ctm"
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
        wavs: See :func:`recordings`.
        name: Of the set.
        rate: Samples a second.

    Returns:
        All that there are.
    """
    from espnet2_taste.data.audio import load_speech

    return {
        utterance: load_speech(path, rate, keep_silence=True)
        for utterance, path in recordings(wavs, name).items()
    }


def given_texts(wavs: Path) -> dict[str, str]:
    """What the system says that it said: ``text`` beside its recordings, if there."""
    from espnet2_taste.data.kaldi_dir import read_table

    transcript = wavs / "text" if wavs.is_dir() else wavs.with_name("text")
    return read_table(transcript) if transcript.is_file() else {}


def add_set(
    speech: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
    prompts: Mapping[str, str],
    output: Path,
    rate: int,
) -> tuple[int, int]:
    """Write the recordings of one set as a design's continuations.

    Args:
        speech: Samples (S,) by utterance id; those without a prompt are left out.
        texts: What they say, where known.
        prompts: Text of each prompt.
        output: Where the files go.
        rate: Samples a second.

    Returns:
        Prompts that are continued and those that are not.
    """
    from espnet2_taste.data.audio import write_audio
    from espnet2_taste.data.checks import audio_file
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.data.kaldi_dir import sort_keys, write_table

    for folder in (output / "audio", output / "prompt"):
        folder.mkdir(parents=True, exist_ok=True)
    names = sort_keys(set(prompts) & set(speech))
    table = {name: str(audio_file(output, name)) for name in names}
    for name, path in table.items():
        write_audio(path, speech[name], rate)
    missing = sort_keys(set(prompts) - set(speech))
    rows = [(name, "no recording") for name in missing]
    write_rows(output / "missing.tsv", ("utt", "reason"), rows)
    write_table(output / "text", {name: texts.get(name, "") for name in names})
    write_table(output / "prompt" / "text", {name: prompts[name] for name in names})
    write_table(output / "wav.scp", table)
    return len(table), len(missing)


def run(args: argparse.Namespace) -> None:
    """Write every set.

    Raises:
        ValueError: Not exactly one source of recordings is given.
    """
    if bool(args.wavs) == args.true_endings:
        raise ValueError(
            "expected either --wavs (recordings of a system) or --true_endings true "
            f"(those of the sets), found {args.wavs} and {args.true_endings}"
        )
    from espnet2_taste.evaluation.transcripts import first_words

    for name in args.sets.split():
        output = Path(args.output_dir) / name
        folder = Path(args.dump_dir) / name
        if args.true_endings:
            speech = true_endings(folder, args.ctm, args.fs, args.prompt_words)
            texts: dict[str, str] = {}
        else:
            speech = given_recordings(Path(args.wavs), name, args.fs)
            texts = given_texts(Path(args.wavs))
        prompts = first_words(folder, args.prompt_words)
        found, missing = add_set(speech, texts, prompts, output, args.fs)
        print(f"{output}: {found} recordings, {missing} missing")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
