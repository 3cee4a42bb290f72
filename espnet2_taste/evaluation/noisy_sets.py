"""A set of recordings in noise, beside the set it was made from.

Enters: a set as stages 2 and 3 left it. Leaves: ``<set>_snr20`` and so on with the
same utterances, texts and true word times, so that every later command takes it like
any other set, and with what scores need to compare with clean speech: ``clean.scp``
(the recordings before the noise), ``ctm_clean`` (their word times, if stage 4 has made
them) and ``noise.json`` (which set, noise, ratio and seed).
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.finished import (
    digest,
    finish_folder,
    is_finished,
    set_record,
    start_folder,
)
from espnet2_taste.data.formatting import HEADED_TABLES, copy_study_tables
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_kaldi_dir,
    read_table,
    write_kaldi_dir,
    write_table,
)
from espnet2_taste.data.recording_writer import RecordingWriter
from espnet2_taste.evaluation.noise import AbsNoise, mix_at_snr, noise_choices
from espnet2_taste.evaluation.recorded import recordings
from espnet2_taste.metrics.statistics import utterance_rng

RECORD, CLEAN_WAVS, CLEAN_TIMES = "noise.json", "clean.scp", "ctm_clean"
FINER_TIMES = ("ctm_refined", "word_times_refined")
SOURCE_TABLES = ("wav.scp", "text", "utt2spk", "ctm", "ctm_aligned", *HEADED_TABLES)


@dataclass(frozen=True)
class NoiseForm:
    """What a noisy set is made with.

    Attributes:
        noise: Name in ``noise_choices``.
        snr_db: Active speech level minus level of the noise.
        seed: Of the noise.
        sample_rate: Of the result, Hz.
        noise_wavs: ``wav.scp`` or folder of recordings of noise, empty for none.
        audio_format: One of ``recording_writer.FORMATS``.
    """

    noise: str
    snr_db: float
    seed: int = 0
    sample_rate: int = 16000
    noise_wavs: str = ""
    audio_format: str = "wav"


def noisy_name(name: str, tag: str, snr_db: float) -> str:
    """Name of a noisy set.

    Example:
        >>> noisy_name("test", "", 20.0), noisy_name("test", "babble", 2.5)
        ('test_snr20', 'test_babble_snr2.5')
    """
    return "_".join(part for part in (name, tag, f"snr{snr_db:g}") if part)


def add_noise_to_set(source: Path, target: Path, form: NoiseForm) -> bool:
    """Write ``source`` in noise to ``target``, unless that is done.

    Args:
        source: The clean set.
        target: The folder to make.
        form: Noise, ratio, seed.

    Returns:
        Whether there was something to do.

    Raises:
        ValueError: The set is malformed, or an utterance cannot be mixed.
    """
    tables = read_kaldi_dir(source)
    place, noise_wavs = Path(form.noise_wavs), {}
    if form.noise_wavs:
        noise_wavs = read_table(place) if place.is_file() else recordings(place)
    record = {"source": source.name, **set_record(asdict(form))} | {
        "tables": digest(
            [source / name for name in (*SOURCE_TABLES, *FINER_TIMES)], contents=True
        ),
        "audio": digest([*tables.wav.values(), *noise_wavs.values()], contents=False),
    }
    if is_finished(target, RECORD, record):
        return False
    kind = noise_choices.get_class(form.noise)
    noise = kind(tables.wav, noise_wavs, form.sample_rate)
    folder = start_folder(target, RECORD, record)
    shown = (form.sample_rate, form.audio_format, target)
    with RecordingWriter(folder, *shown) as writer:
        rows, samples, wavs = _mix_audio(tables, writer, noise, form)
    write_kaldi_dir(folder, KaldiDir(wavs, tables.text, tables.utt2spk))
    write_table(folder / "utt2num_samples", {n: str(s) for n, s in samples.items()})
    write_table(folder / CLEAN_WAVS, tables.wav)
    write_rows(folder / "noise.tsv", ("utt", "gain_db"), rows)
    copy_study_tables(source, folder, set())
    copies = {name: name for name in ("text_raw", *FINER_TIMES)}
    for name, copy in (copies | {"ctm_aligned": CLEAN_TIMES}).items():
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / copy)
    finish_folder(folder, target)
    return True


def _mix_audio(
    tables: KaldiDir, writer: RecordingWriter, noise: AbsNoise, form: NoiseForm
) -> tuple[list[tuple], dict[str, int], dict[str, str]]:
    """Write the mixtures; gives what was changed, samples and entry of each."""
    from tqdm import tqdm

    rows, samples, wavs = [], {}, {}
    for name, path in tqdm(tables.wav.items(), desc=f"{form.snr_db:g} dB"):
        try:
            speech = load_speech(path, form.sample_rate)
            drawn = noise.excerpt(len(speech), utterance_rng(form.seed, name))
            mixed, gain = mix_at_snr(speech, drawn, form.snr_db, form.sample_rate)
        except ValueError as error:
            raise ValueError(f"utterance {name}: {error}") from error
        wavs[name] = writer(name, mixed)
        rows.append((name, f"{gain:.2f}"))
        samples[name] = len(speech)
    return rows, samples, wavs


def clean_recordings(folder: Path) -> dict[str, str] | None:
    """Recordings before the noise was added, None for a set without added noise."""
    path = folder / CLEAN_WAVS
    return read_table(path) if path.is_file() else None
