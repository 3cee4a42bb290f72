"""Say the texts of a set with a packed model, and score the speech.

Enters: ``taslm.zip`` (stage 14), a text-only TASTE experiment as the baseline, and sets
as stages 2 to 4 left them. Every text is said in the voice of the next recording of its
speaker: by the text-only unit decoder, by TASLM, and by TASLM in the manner of that
recording. Leaves in --output_dir: the speech (<set>/``text_only``, ``plain``,
``styled``), and ``scores.json``: word errors, durations against the set's own
recordings, whether rate and voice follow the recording, how the word times of the unit
decoder agree with forced alignment, and how soon the speech of continuations begins.
Finished speech is kept.

Example:
    python -m espnet2_taste.bin.say_score --model exp/packed/taslm.zip \\
        --text_only exp/taste_text_only --recognizer exp/asr --sets test \\
        --output_dir exp/said
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared, save_study
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.checks import audio_file
from espnet2_taste.data.ctm import write_ctm
from espnet2_taste.data.kaldi_dir import read_kaldi_dir, write_table
from espnet2_taste.evaluation.saying_report import saying_tables
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments

PROMPTS = 8


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--model", required=True, help="Packed TASLM")
    add("--cache_dir", help="Folder for unpacked archives (default: ESPnet's cache)")
    add("--text_only", required=True, help="TASTE experiment without codes")
    add_recognizer_arguments(parser, required=True)
    add("--output_dir", type=Path, required=True, help="Parent of the results")
    add("--streamed_words", type=int, default=30, help="Words of a timed continuation")
    add("--streamed_turns", type=int, default=5, help="How often each is timed")
    add_shared(parser, "dump_dir", "sets", "batch_size", "ngpu")


def ways_of_saying(
    lm, text_only: str, original, followed: Mapping[str, str]
) -> dict[str, Callable[[Sequence[str]], list]]:
    """Ways of saying the texts of a set, by the names of their folders.

    Args:
        lm: ``SpokenLM``.
        text_only: TASTE experiment without codes.
        original: ``OriginalSet``.
        followed: Recording that each text is said like.

    Returns:
        Functions of utterance ids that give ``DecodedSpeech`` of each: without codes,
        with the language model's, and with these behind the recording that is followed.
    """
    import numpy as np
    import torch

    from espnet2_taste.inference.results import decoded_speech
    from espnet2_taste.inference.resynthesis import UnitBatch
    from espnet2_taste.inference.taste_encoder import TasteEncoder

    taste = lm.tokenizer
    encoder = TasteEncoder.from_exp(text_only, None, taste.encoder.device)
    generator = taste.sampling.generator(encoder)

    def material(names: Sequence[str]):
        """Texts, and speakers (B, E) of the recordings that are followed."""
        wavs = [original.wavs[followed[name]] for name in names]
        voices = np.stack([taste.embed_speaker(wav) for wav in wavs])
        return [original.texts[name] for name in names], voices

    def without_codes(names: Sequence[str]) -> list:
        texts, voices = material(names)
        speakers = torch.from_numpy(voices)
        ids = encoder.texts(names, texts)
        units = generator(names, ids, None, speakers)
        batch = UnitBatch.of(names, units, speakers)
        return decoded_speech(taste.vocoder, batch, texts)

    def plain(names: Sequence[str], styles: list | None = None) -> list:
        texts, voices = material(names)
        return [s for _, s in lm.say_batch(texts, voices, styles, names)]

    def styled(names: Sequence[str]) -> list:
        others = [followed[name] for name in names]
        texts = [original.texts[other] for other in others]
        wavs = [original.wavs[other] for other in others]
        return plain(names, taste.encode_batch(wavs, texts, others, False))

    return {"text_only": without_codes, "plain": plain, "styled": styled}


def write_said(
    folder: Path, names: Sequence[str], make: Callable, batch_size: int
) -> None:
    """Say texts and write the speech; finished folders are kept."""
    import tqdm

    if (folder / "wav.scp").is_file():
        return
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    timings = {}
    for start in tqdm.trange(0, len(names), batch_size, desc=folder.name):
        some = names[start : start + batch_size]
        for name, speech in zip(some, make(some)):
            write_audio(audio_file(folder, name), speech.wave, speech.sample_rate)
            timings[name] = speech.timings
    if any(timings.values()):
        write_ctm(folder / "ctm", timings)
    wavs = {name: str(audio_file(folder, name)) for name in names}
    write_table(folder / "wav.scp", wavs)


def score_set(args: argparse.Namespace, lm, name: str) -> dict:
    """Say and score one set.

    Args:
        args: Options.
        lm: ``SpokenLM``.
        name: The set.

    Returns:
        Scores by the name of the folder.

    Raises:
        ValueError: No speaker of the set has two recordings.
    """
    from espnet2_taste.evaluation.rendition import read_original
    from espnet2_taste.evaluation.speaking import followed_by, score_spoken

    original = read_original(args.dump_dir / name)
    followed = followed_by(original.speakers)
    if not followed:
        raise ValueError(
            f"{args.dump_dir}/{name}: no speaker has two recordings, one to be said "
            "like the other"
        )
    ways = ways_of_saying(lm, args.text_only, original, followed)
    aligner, scores = LazyAligner.from_args(args), {}
    for label, make in ways.items():
        folder = args.output_dir / name / label
        write_said(folder, list(followed), make, args.batch_size)
        embed = lm.tokenizer.embed_speaker
        scores[label] = score_spoken(folder, original, followed, aligner, embed)
    return scores


def score_streaming(args: argparse.Namespace, lm) -> dict[str, float]:
    """How soon continuations of the first set's first recordings begin."""
    from espnet2_taste.evaluation.speaking import stream_speed

    tables = read_kaldi_dir(args.dump_dir / args.sets.split()[0])
    step = max(1, len(tables.text) // PROMPTS)  # of all speakers
    names = list(tables.text)[::step][:PROMPTS]
    wavs = [tables.wav[name] for name in names]
    texts = [tables.text[name] for name in names]
    prompts = lm.tokenizer.encode_batch(wavs, texts, names, False)
    voices = [lm.tokenizer.embed_speaker(wav) for wav in wavs]
    speed = stream_speed(lm, prompts, voices, args.streamed_turns)
    return {"words": args.streamed_words, **speed}


def run(args: argparse.Namespace) -> None:
    """Say, score and write."""
    from espnet2_taste.inference import SpokenLM

    words = args.streamed_words
    limits = {"max_words": words, "min_words": words}  # of continuations
    place = (args.model, args.cache_dir)
    lm = SpokenLM.from_pretrained(*place, device=args.device, **limits)
    settings = {"recognizer": args.recognizer, "text_only": args.text_only}
    result = {"sets": {name: score_set(args, lm, name) for name in args.sets.split()}}
    result["streaming"] = score_streaming(args, lm)
    save_study(args, args.output_dir / "scores.json", "saying", settings, **result)
    print("\n\n".join(saying_tables(result)))


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
