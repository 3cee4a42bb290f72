"""The tokenizer's scores: every variant on every set, then codes and pictures.

Enters: the options of ``bin/taste_score``. Leaves: a dictionary for ``scores.json``
and pictures in ``images``. Alignments of resynthesized sets are kept beside their
audio (``ctm_aligned``, ``text_asr``) and used again unless the audio is newer.

Legend: W words, Q codebooks.
"""

import argparse
from pathlib import Path

import numpy as np

from espnet2_taste.align.sets import AlignedSet, align_set, read_aligned_set
from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.audio import load_speech, read_header
from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.files import read_json, read_yaml
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.attention import draw_attention
from espnet2_taste.evaluation.rendition import (
    OriginalSet,
    read_original,
    read_pitch,
    score_original,
    score_rendition,
)
from espnet2_taste.evaluation.unit_accuracy import (
    round_trip_accuracies,
    taste_accuracies,
)
from espnet2_taste.evaluation.variants import Variant, find_variants, trained_epochs
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.metrics.bitrate import measure_bitrate
from espnet2_taste.metrics.plots import plot_pitch, plot_scatter
from espnet2_taste.recognizers.options import LazyAligner
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.words import tokenize_words

SCATTERED = {
    "durations": ("durations", "pearson", "r", "duration (s)"),
    "f0": ("pitch", "pearson_within_speaker", "r within speakers", "word F0 (Hz)"),
}
"""Pictures of values: where their correlation is, its name, and the axes'."""
ALIGNMENT = ("ctm_aligned", "text_asr")


def score_tokenizer(args: argparse.Namespace) -> dict:
    """Score all variants on all sets.

    Args:
        args: Options of ``bin/taste_score``.

    Returns:
        ``sets`` (by set, then variant), ``units`` (the same), ``bitrate`` (by set).

    Raises:
        ValueError: Something an earlier stage makes is missing.
    """
    variants = find_variants(Path(args.expdir), Path(args.taste_exp))
    device = "cuda" if args.ngpu else "cpu"
    aligner = LazyAligner.from_args(args)
    images = Path(args.output_dir) / "images"
    encoder = TasteEncoder.from_exp(Path(args.taste_exp))
    scores = {"sets": {}, "units": {}, "bitrate": {}}
    for name in args.sets.split():
        folder = Path(args.dump_dir) / name
        original = read_original(folder)
        scores["sets"][name] = _score_set(original, variants, aligner, args, images)
        first = next(iter(original.timings))
        draw_attention(
            images / f"attention_{name}.png",
            encoder,
            first,
            load_speech(original.wavs[first], encoder.sample_rate),
            original.timings[first],
        )
        scores["units"][name] = _score_units(folder, variants, args, device)
        codes = Path(args.taste_exp) / "codes" / name / "codes.scp"
        scores["bitrate"][name] = score_codes(codes, Path(args.taste_exp), original)
    return scores


def align_rendition(
    rendition: Path, texts: dict[str, str], aligner
) -> tuple[AlignedSet, dict[str, str]]:
    """Word times of a resynthesized set, kept beside its audio.

    Args:
        rendition: Folder with ``wav.scp``.
        texts: What is said in it.
        aligner: Function that gives the aligner.

    Returns:
        The alignment and the audio of each utterance.
    """
    wavs = read_table(rendition / "wav.scp")
    kept = read_aligned_set(rendition, *ALIGNMENT)
    made = (rendition / "wav.scp").stat().st_mtime
    if kept and (rendition / "ctm_aligned").stat().st_mtime >= made:
        return kept, wavs
    aligned = align_set(aligner(), wavs, texts, label=str(rendition))
    aligned.write(rendition, *ALIGNMENT)
    # as written, so that a second run sees the same numbers to the last digit
    return read_aligned_set(rendition, *ALIGNMENT), wavs


def _score_set(
    original: OriginalSet,
    variants: list[Variant],
    aligner: LazyAligner,
    args: argparse.Namespace,
    images: Path,
) -> dict:
    """Scores of each variant on one set, and its pictures."""
    scores = {"original": score_original(original)}
    values: dict[str, dict] = {}
    renditions: dict[str, tuple[AlignedSet, dict[str, str]]] = {}
    for variant in variants:
        folder = variant.rendition(original.name)
        if not (folder / "wav.scp").is_file():
            continue
        aligned, wavs = align_rendition(folder, original.texts, aligner)
        renditions[variant.label] = (aligned, wavs)
        ctm = folder / "ctm"  # of unit decoders that choose times of words
        predicted = read_ctm(ctm) if ctm.is_file() else {}
        scores[variant.label], values[variant.label] = score_rendition(
            original, aligned, wavs, args.tolerance, predicted
        )
        scores[variant.label]["epochs"] = trained_epochs(variant.exp)
    _draw_values(images, original.name, scores, values)
    _draw_pitch(images, original, renditions)
    return scores


def _score_units(
    folder: Path, variants: list[Variant], args: argparse.Namespace, device: str
) -> dict:
    """Unit accuracy of each variant on one set."""
    scores = {}
    for variant in variants:
        if variant.trained and not variant.speaks_units:
            scores[variant.label] = taste_accuracies(
                variant.exp, args.inference_model, folder, args.batch_size, device
            )
        if not variant.speaks_units:
            continue
        wav_scp = variant.rendition(folder.name) / "wav.scp"
        units_dir = Path(args.expdir) / "units"
        if wav_scp.is_file() and units_dir.is_dir():
            wavs = read_table(wav_scp)
            found = round_trip_accuracies(units_dir, wavs, folder / "units")
            scores[variant.label] = found
    return scores


def score_codes(codes_scp: Path, taste_exp: Path, original: OriginalSet) -> dict:
    """Bit rate of the codes of one set."""
    summary = codes_scp.with_name("codes.json")
    if not summary.is_file():
        raise ValueError(f"{summary} not found: run stage 9 first")
    codes = ArkTable(codes_scp)
    config = read_yaml(taste_exp / "config.yaml")
    tokenizer = build_text_tokenizer(
        config["token_type"],
        config["token_list"],
        config.get("bpemodel"),
        config.get("tokenizer_path"),
    )
    texts = [original.texts[name].split() for name in codes]
    marks = {key: config.get(key, True) for key in ("first_word_space", "word_space")}
    tokens = sum(len(tokenize_words(row, tokenizer, **marks).ids) for row in texts)
    return measure_bitrate(
        [codes[name].astype(np.int64) for name in codes],
        sum(read_header(original.wavs[name]).duration for name in codes),
        read_json(summary)["codebook_size"],
        tokens,
        tokenizer.vocab_size,
    )


def _draw_values(images: Path, set_name: str, scores: dict, values: dict) -> None:
    """Scatter plots of durations and of F0."""
    for kind, (group, key, note, axis) in SCATTERED.items():
        panels = {
            label: (*pairs[kind], f"{note} = {scores[label][group][key]:.2f}")
            for label, pairs in values.items()
        }
        if panels:
            plot_scatter(images / f"{kind}_{set_name}.png", panels, axis)


def _draw_pitch(
    images: Path,
    original: OriginalSet,
    renditions: dict[str, tuple[AlignedSet, dict[str, str]]],
) -> None:
    """F0 of one utterance, the first that every variant has, in all renditions."""
    shared = [
        name
        for name in original.timings
        if all(name in aligned.timings for aligned, _ in renditions.values())
    ]
    if not shared or not renditions:
        return
    name = shared[0]
    tracks = {"original": read_pitch(original.wavs[name])}
    timings = {"original": original.timings[name]}
    for label, (aligned, wavs) in renditions.items():
        tracks[label] = read_pitch(wavs[name])
        timings[label] = aligned.timings[name]
    plot_pitch(images / f"f0_tracks_{original.name}.png", tracks, timings)
