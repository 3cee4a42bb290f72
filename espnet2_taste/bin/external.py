"""Let the recordings of another system take part: they are scored, nothing else.

Enters: for each set a folder of wavs named after utterance ids, or a manifest of lines
``utt path``, of continuations alone, and the sets with their prompts. With --true_ctm
instead, the recordings of the sets are cut where their prompts end: how people went
on, the mark that no system is expected to pass. Leaves
<output_dir>/<set> as a design of this package does: ``wav.scp`` of the continuations
(``text`` empty unless given: the evaluation transcribes) and ``prompt/text``, so that
every later step treats it as one more row. Prompts without a recording are listed in
``missing.tsv``.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from espnet2.utils.config_argparse import ArgumentParser

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
    add("--true_ctm", help="Instead of --wavs: word times of the sets, e.g. ctm")
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


def prompt_words(folder: Path) -> dict[str, int]:
    """Words of each prompt of a set, from its ``prompt_words``; empty without it."""
    from espnet2_taste.data.ctm import read_rows

    table = folder / "prompt_words"
    rows = read_rows(table) if table.is_file() else []
    return {row["utt"]: int(row["n_words"]) for row in rows}


def prompt_texts(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What was said before the continuations.

    Args:
        folder: The set, perhaps with ``prompt_words``; else whole texts are prompts.
        names: Utterance ids.

    Returns:
        First words of each text.
    """
    from espnet2_taste.data.kaldi_dir import read_table

    texts, counts = read_table(folder / "text"), prompt_words(folder)
    return {n: " ".join(texts[n].split()[: counts.get(n)]) for n in names}


def true_endings(folder: Path, ctm: str, rate: int) -> dict[str, np.ndarray]:
    """What the recordings of a set say after their prompts.

    Args:
        folder: The set, with ``prompt_words``.
        ctm: Its file with times of words.
        rate: Samples a second.

    Returns:
        Samples (S,) by utterance id, from the first word after the prompt on;
        utterances that end with their prompt are left out.

    Raises:
        ValueError: No prompt of the set has an end.
    """
    from espnet2_taste.data.audio import load_speech
    from espnet2_taste.data.ctm import read_ctm
    from espnet2_taste.data.kaldi_dir import read_table

    wavs, times, endings = read_table(folder / "wav.scp"), read_ctm(folder / ctm), {}
    for name, count in prompt_words(folder).items():
        if count < len(times.get(name, [])):
            start = int(times[name][count].start * rate)
            endings[name] = load_speech(wavs[name], rate, keep_silence=True)[start:]
    if not endings:
        raise ValueError(
            f"{folder}: expected prompt_words that says after how many words of {ctm} "
            "an utterance is cut, found none to cut; give recordings with --wavs"
        )
    return endings


def given_recordings(wavs: Path, folder: Path, rate: int) -> dict[str, np.ndarray]:
    """Samples (S,) of the recordings given for a set, by utterance id.

    Args:
        wavs: See :func:`recordings`.
        folder: The set.
        rate: Samples a second.

    Returns:
        Those of the set's utterances.
    """
    from espnet2_taste.data.audio import load_speech
    from espnet2_taste.data.kaldi_dir import read_table

    wanted, given = read_table(folder / "text"), recordings(wavs, folder.name)
    return {
        name: load_speech(path, rate, keep_silence=True)
        for name, path in given.items()
        if name in wanted
    }


def given_texts(wavs: Path) -> dict[str, str]:
    """What the system says that it said: ``text`` beside its recordings, if there."""
    from espnet2_taste.data.kaldi_dir import read_table

    transcript = wavs / "text" if wavs.is_dir() else wavs.with_name("text")
    return read_table(transcript) if transcript.is_file() else {}


def add_set(
    speech: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
    folder: Path,
    output: Path,
    rate: int,
) -> tuple[int, int]:
    """Write the recordings of one set as a design's continuations.

    Args:
        speech: Samples (S,) by utterance id.
        texts: What they say, where known.
        folder: The set.
        output: Where the files go.
        rate: Samples a second.

    Returns:
        Utterances found and missing.
    """
    from espnet2_taste.data.audio import write_audio
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.data.kaldi_dir import read_table, sort_keys, write_table

    (output / "audio").mkdir(parents=True, exist_ok=True)
    table = {name: str(output / "audio" / f"{name}.wav") for name in sort_keys(speech)}
    for name, path in table.items():
        write_audio(path, speech[name], rate)
    missing = sort_keys(set(read_table(folder / "text")) - set(speech))
    rows = [(name, "no recording") for name in missing]
    write_rows(output / "missing.tsv", ("utt", "reason"), rows)
    write_table(output / "text", {name: texts.get(name, "") for name in table})
    (output / "prompt").mkdir(exist_ok=True)
    write_table(output / "prompt" / "text", prompt_texts(folder, table))
    write_table(output / "wav.scp", table)
    return len(table), len(missing)


def run(args: argparse.Namespace) -> None:
    """Write every set.

    Raises:
        ValueError: Not exactly one source of recordings is given.
    """
    if bool(args.wavs) == bool(args.true_ctm):
        raise ValueError(
            "expected --wavs (recordings of a system) or --true_ctm (those of the sets "
            f"themselves), found --wavs {args.wavs} and --true_ctm {args.true_ctm}"
        )
    for name in args.sets.split():
        output = Path(args.output_dir) / name
        folder = Path(args.dump_dir) / name
        if args.true_ctm:
            speech, texts = true_endings(folder, args.true_ctm, args.fs), {}
        else:
            speech = given_recordings(Path(args.wavs), folder, args.fs)
            texts = given_texts(Path(args.wavs))
        found, missing = add_set(speech, texts, folder, output, args.fs)
        print(f"{output}: {found} recordings, {missing} missing")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
