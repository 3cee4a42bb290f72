"""Likelihoods of utterances under a spoken language model (stages 12 and 16).

Enters: an experiment and sets: for TASLM tokenized ones (``words``, ``codes.scp``), for
other designs ``text``, ``units`` and word times. Leaves <output_dir>/<set>/scores.tsv:
``utt`` and one column a stream (text, speech, both) and reduction (sum, mean), for
TASLM with the base LM's text beside it. A stream that a design does not have scores
zero. Finished sets are kept.

A set with ``pairs.tsv``, recordings and word times gets columns for what follows the
common beginning of each pair (arXiv 2601.06329): ``_local``, the next --window words
given the beginning, and ``_normalised``, the same minus their likelihood with nothing
before them.

Examples:
  python -m espnet2_taste.bin.slm_score --exp exp/taslm_embed \\
      --codes_dir exp/taste_vq/codes --sets "test pairs_style" \\
      --output_dir exp/taslm_embed/likelihood
  python -m espnet2_taste.bin.slm_score --exp exp/moshi \\
      --sets "test pairs_style" --output_dir exp/moshi/likelihood
"""

import argparse
from collections import ChainMap
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command, add_shared, finish
from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.data.pair_prefix import read_shared_words
from espnet2_taste.data.parts import only_listed, set_of
from espnet2_taste.data.set_loop import length_batches
from espnet2_taste.data.spoken_sets import read_spoken_words
from espnet2_taste.inference.loading import load_spoken_lm


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--exp", required=True, help="Experiment directory")
    add("--codes_dir", help="Parent of <set>/codes.scp, for TASLM")
    add("--output_dir", type=Path, required=True, help="Parent of the results")
    add(
        "--mask_other_vocab",
        type=str2bool,
        default=False,
        help="Where one stream holds text and speech, a text token is weighed against "
        "text alone, and a unit against units",
    )
    add("--window", type=int, default=3, help="Words after a pair's common beginning")
    add(
        "--decode_config",
        help="YAML of continuations (stage 12): its guidance holds for likelihoods too",
    )
    add("--batch_size", type=int, default=32, help="Utterances at once")
    add_shared(
        parser, "dump_dir", "sets", "ids_dir", "parts_dir", "ngpu", "model_file", "ctm"
    )


def build_scorer(args: argparse.Namespace):
    """Load the model.

    Args:
        args: Options.

    Returns:
        A function of names and items that scores them, and one that reads the items of
        a set by its name.

    Raises:
        ValueError: A file or an option is missing.
    """
    from espnet2_taste.inference.scorer import Scorer

    model, preprocessor = load_spoken_lm(args.exp, args.model_file, args.device)
    decoding = read_yaml(args.decode_config) if args.decode_config else {}
    guidance = decoding.get("guidance", 0.0)
    scorer = Scorer(model, preprocessor, args.mask_other_vocab, guidance)
    if "codes" in preprocessor.layout.needs:
        if not args.codes_dir:
            raise ValueError(f"{args.exp} is a TASLM: give --codes_dir (stage 9)")
        codes = Path(args.codes_dir)
        return scorer, lambda name: {
            utt: item.fields for utt, item in read_spoken_words(codes / name).items()
        }
    needs = preprocessor.layout.needs | {"units"}
    return scorer, lambda name: read_fields(args.dump_dir / name, args.ctm, needs)


def score_set(
    scorer, items: dict, batch_size: int, shared: dict | None = None
) -> dict[str, dict[str, float]]:
    """Score every utterance of a set.

    Args:
        scorer: ``Scorer``, or ``WindowScorer`` with ``shared``.
        items: Fields by utterance id.
        batch_size: Utterances at once.
        shared: Words by utterance id.

    Returns:
        Columns by name, by utterance id.
    """
    result = {}
    for names in length_batches(items, batch_size):
        given = [names, [items[name] for name in names]]
        if shared is not None:
            given.append([shared[name] for name in names])
        result.update(zip(names, scorer(*given)))
    return result


def add_windows(
    scores: dict, scorer, items: dict, folder: Path, args: argparse.Namespace
) -> None:
    """Add what follows the common beginning of pairs to a set's scores, in place."""
    from espnet2_taste.inference.scorer import WindowScorer

    if not (folder / "pairs.tsv").is_file():
        return
    if missing := [f for f in ("wav.scp", args.ctm) if not (folder / f).is_file()]:
        print(f"{folder} has no {missing[0]}: no likelihoods after common beginnings")
        return
    known = read_shared_words(folder, args.ctm, items)
    if lost := len(items.keys() - known.keys()):
        print(
            f"{folder}: {lost} utterances are in no pair with recordings and word times"
        )
    shared = dict.fromkeys(items, 0) | known
    windows = WindowScorer(scorer, args.window)
    for name, row in score_set(windows, items, args.batch_size, shared).items():
        scores[name] |= row


def run(args: argparse.Namespace) -> None:
    """Score the sets that are not done, with one model, or join their parts."""
    from espnet2_taste.evaluation.slm import read_scores, write_scores

    def work(tool, output: Path) -> str:
        (scorer, read), part = tool, str(output.relative_to(args.output_dir))
        items = only_listed(read(set_of(part)), args.ids_dir, part)
        scores = score_set(scorer, items, args.batch_size)
        add_windows(scores, scorer, items, args.dump_dir / set_of(part), args)
        return write(scores, output)

    def join(parts: Sequence[Path], output: Path) -> str:
        found = (read_scores(part / "scores.tsv") for part in parts)
        return write(ChainMap(*found), output)

    def write(scores: Mapping, output: Path) -> str:
        write_scores(output / "scores.tsv", scores)
        return f"{len(scores)} utterances"

    finish(
        args,
        lambda output: (output / "scores.tsv").is_file(),
        lambda: build_scorer(args),
        *(work, join, args.output_dir),
    )


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
