"""Let the recordings of another system take part: they are scored, nothing else.

Enters: for each set a folder of wavs named after utterance ids, or a manifest of lines
``utt path``, of continuations alone, and the sets with their prompts. Leaves
<output_dir>/<set> as a design of this package does: ``wav.scp`` of the continuations
(``text`` empty unless given: the evaluation transcribes) and ``prompt/text``, so that
every later step treats it as one more row. Prompts without a recording are listed in
``missing.tsv``.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

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
    add("--wavs", required=True, help="Folder with <set>/<utt>.wav, or a manifest")
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


def prompt_texts(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What was said before the continuations.

    Args:
        folder: The set, perhaps with ``prompt_words``; else whole texts are prompts.
        names: Utterance ids.

    Returns:
        First words of each text.
    """
    from espnet2_taste.data.ctm import read_rows
    from espnet2_taste.data.kaldi_dir import read_table

    texts, table = read_table(folder / "text"), folder / "prompt_words"
    rows = read_rows(table) if table.is_file() else []
    counts = {row["utt"]: int(row["n_words"]) for row in rows}
    return {n: " ".join(texts[n].split()[: counts.get(n)]) for n in names}


def add_set(wavs: Path, folder: Path, output: Path, rate: int) -> tuple[int, int]:
    """Copy the recordings of one set at one sample rate.

    Args:
        wavs: See :func:`recordings`.
        folder: The set.
        output: Where the files go.
        rate: Samples a second.

    Returns:
        Utterances found and missing.
    """
    from espnet2_taste.data.audio import load_speech, write_audio
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.data.kaldi_dir import read_table, sort_keys, write_table

    given, wanted = recordings(wavs, folder.name), read_table(folder / "text")
    (output / "audio").mkdir(parents=True, exist_ok=True)
    table = {}
    for name in sort_keys(set(wanted) & set(given)):
        path = output / "audio" / f"{name}.wav"
        write_audio(path, load_speech(given[name], rate, keep_silence=True), rate)
        table[name] = str(path)
    missing = sort_keys(set(wanted) - set(given))
    rows = [(name, "no recording") for name in missing]
    write_rows(output / "missing.tsv", ("utt", "reason"), rows)
    texts = {name: "" for name in table}
    transcript = wavs / "text" if wavs.is_dir() else wavs.with_name("text")
    if transcript.is_file():
        said = read_table(transcript)
        texts = {name: said.get(name, "") for name in table}
    write_table(output / "text", texts)
    (output / "prompt").mkdir(exist_ok=True)
    write_table(output / "prompt" / "text", prompt_texts(folder, table))
    write_table(output / "wav.scp", table)
    return len(table), len(missing)


def run(args: argparse.Namespace) -> None:
    """Copy every set."""
    for name in args.sets.split():
        output = Path(args.output_dir) / name
        folder = Path(args.dump_dir) / name
        found, missing = add_set(Path(args.wavs), folder, output, args.fs)
        print(f"{output}: {found} recordings, {missing} missing")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
