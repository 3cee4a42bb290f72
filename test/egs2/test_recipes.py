"""The two mini recipes, all 14 stages, with models small enough for a test.

Enters: the recipe folders, copied. Leaves: RESULTS.md and archives; a second run that
changes nothing. mini_espeak is killed (``kill -9``) in the steps ``KILLED``, each time
repeated with the same command, and must end as an undisturbed run does: trainings when
their second epoch is to be kept, other steps when the first of their traces is seen.
All steps, in twice the time:

    TASTE_KILL=all pytest test/egs2/test_recipes.py -k mini_espeak
"""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from recipe_runs import ROOT, copy_recipe, snapshot, start_recipe

from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import read_ctm, read_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_kaldi_dir,
    read_table,
    write_kaldi_dir,
)
from espnet2_taste.metrics.wer import total_errors
from espnet2_taste.recognizers.choices import load_recognizer

REALSPEECH = Path(
    os.environ.get("TASTE_REALSPEECH", ROOT.parent / "shared" / "realspeech")
)
STEPS = ("text_only", "no_vq", "vq")
DEBUG = [
    *("--asr_config", "conf/train_asr_debug.yaml"),
    *("--units_config", "conf/units_debug.yaml"),
    *("--taste_configs", " ".join(f"conf/train_taste_{s}_debug.yaml" for s in STEPS)),
    *("--unit_vocoder_config", "conf/train_unit_vocoder_debug.yaml"),
    *("--text_lm_config", "conf/train_text_lm_debug.yaml"),
    *("--taslm_embed_config", "conf/train_taslm_embed_debug.yaml"),
    *("--taslm_token_config", "conf/train_taslm_token_debug.yaml"),
    *("--inference_config", "conf/decode_slm_debug.yaml"),
]
RECIPES = {
    "mini_espeak": ["--local_data_opts", "--scale 0.02", "--nbpe", "60", *DEBUG],
    "mini_an4": [  # all audio, read and made, in arks
        *("--audio_format", "flac.ark", "--speed_perturb_factors", "0.9 1.0")
    ],
}
EXPS = [f"taste_{step}_debug" for step in STEPS]
TRAININGS = ["asr", *EXPS, "unit_vocoder", "text_lm", "taslm_embed", "taslm_token"]
PROGRESS = {  # step of the recipe -> the first of its traces: it is in the middle then
    "data": "data/*",
    "format": "dump/raw/*",
    "text": "dump/raw/*/text_raw",
    "align": "dump/raw/*/ctm_aligned",
    "units": "dump/raw/*/units",
    "taste_stats": "exp/taste_stats/train/*",
    "codes": f"exp/{EXPS[-1]}/codes/*/codes.json",
    "taste_score": f"exp/{EXPS[-1]}/resynthesis/*/ctm_aligned",
    "results": "exp/**/scores.json",
    "pack": "exp/packed/*",
    **{
        f"resynthesis_{name}": f"exp/{name}/resynthesis/*"
        for name in (*EXPS, "unit_vocoder")
    },
    **{
        f"{work}_{name}": f"exp/{name}/{work}/*"
        for name in TRAININGS[-2:]
        for work in ("continuation", "likelihood")
    },
}
KILLED = ["asr", "taslm_token"]
if os.environ.get("TASTE_KILL") == "all":
    KILLED = [*PROGRESS, *TRAININGS]
KILL_AT_SECOND_EPOCH = """
import os, signal, sys

def kill(event, args):
    if event == "os.rename" and os.path.basename(args[1]) == "checkpoint.pth":
        folder = os.path.dirname(os.path.realpath(args[1]))
        killed = os.path.join(folder, "killed")
        chosen = os.path.basename(folder) in os.environ["KILLED_TRAININGS"].split()
        if chosen and os.path.exists(args[1]) and not os.path.exists(killed):
            open(killed, "w").close()
            os.killpg(os.getsid(0), signal.SIGKILL)

sys.addaudithook(kill)
"""


def start_and_kill(folder: Path, options: list[str], steps=()) -> subprocess.Popen:
    """Start a recipe; the trainings among ``steps`` kill it at their second epoch."""
    hook = folder.parents[2] / "kill/sitecustomize.py"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(KILL_AT_SECOND_EPOCH)
    chosen = " ".join(set(steps) & set(TRAININGS))
    return start_recipe(
        folder, options, PYTHONPATH=str(hook.parent), KILLED_TRAININGS=chosen
    )


def run_and_kill(folder: Path, options: list[str], steps: list[str]) -> str | None:
    """Run a recipe until one of ``steps`` is in its middle and kill it there.

    Returns:
        The step; None where the recipe ended before.
    """
    known = {
        name: set(folder.glob(PROGRESS[name])) for name in steps if name in PROGRESS
    }
    process = start_and_kill(folder, options, steps)
    try:
        while process.poll() is None:
            for name in known:
                begun = (folder / f"exp/.stages/{name}.begun").exists()
                if begun and set(folder.glob(PROGRESS[name])) - known[name]:
                    return name
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    for name in set(steps) & set(TRAININGS):
        if process.returncode == -signal.SIGKILL and marker(folder, name).exists():
            return name
    assert process.returncode == 0, (folder / "run.log").read_text()[-4000:]
    return None


def marker(folder: Path, training: str) -> Path:
    """Exists when a training has killed its recipe."""
    return folder / f"exp/{training}/killed"


def run_with_kills(folder: Path, options: list[str], steps: list[str]) -> list[str]:
    """Run a recipe to its end, killed once in every step that can be caught.

    Returns:
        The steps it was killed in.
    """
    killed = []
    while step := run_and_kill(folder, options, [s for s in steps if s not in killed]):
        epochs = sorted(path.name for path in folder.glob(f"exp/{step}/*epoch.pth"))
        print(f"killed in {step} {' '.join(epochs)}", flush=True)
        killed.append(step)
    return killed


@pytest.fixture(scope="module")
def first_runs(request, tmp_path_factory):
    """First runs of the recipes that are asked for, side by side."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    asked = {spec.params.get("finished") for spec in specs if spec}

    roots = {name: tmp_path_factory.mktemp(name) for name in RECIPES if name in asked}

    def first_run(name: str) -> tuple[Path, list[str], list[str]]:
        folder = copy_recipe(roots[name], name)
        steps = KILLED if name == "mini_espeak" else []
        return folder, RECIPES[name], run_with_kills(folder, RECIPES[name], steps)

    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(first_run, name) for name in roots}


@pytest.fixture(scope="module", params=RECIPES)
def finished(request, first_runs):
    """A recipe after its first run: folder, options and the steps it was killed in."""
    return first_runs[request.param].result()


# The vocabulary of mini_an4, of three sentences, cannot write all words of its test
# set: a package refuses them by name.
SPELLED = pytest.mark.parametrize("finished", ["mini_espeak"], indirect=True)


def test_all_stages_leave_their_results(finished):
    folder, _, _ = finished
    results = (folder / "exp/RESULTS.md").read_text(encoding="utf-8")
    assert "WER" in results and "bit" in results.lower()
    assert (folder / "exp/packed/taste.zip").is_file()
    assert (folder / "exp/packed/taslm.zip").is_file()
    assert "Stage 14: finished" in (folder / "run.log").read_text()


@pytest.mark.parametrize("finished", ["mini_an4"], indirect=True)
def test_the_vocoder_has_learned_from_other_speeds(finished):
    folder, *_ = finished
    names = list(read_table(folder / "dump/raw/train/wav.scp"))
    names = [*names, *(f"sp0.9-{name}" for name in names)]
    for table in ("wav.scp", "text", "units.scp", "spembs.scp", "pitch.scp"):
        assert list(read_table(folder / "dump/raw/train_sp" / table)) == names, table
    lengths = {
        stats: read_table(folder / f"exp/{stats}/train/speech_shape")
        for stats in ("taste_stats", "unit_vocoder_stats")
    }
    assert {stats: len(rows) for stats, rows in lengths.items()} == {
        "taste_stats": len(names) // 2,
        "unit_vocoder_stats": len(names),
    }


@SPELLED
def test_the_package_speaks_as_stage_9_does(finished, tmp_path, monkeypatch):
    """Raw texts and recordings, with what is in the archive alone: the same WER."""
    folder, *_ = finished
    monkeypatch.chdir(folder)
    made, test = Path(f"exp/{EXPS[-1]}/resynthesis/test"), Path("dump/raw/test")
    again = tmp_path / "again"
    command = [sys.executable, "-m", "espnet2_taste", "resynthesize"]
    command += ["--model", "exp/packed/taste.zip", "--cache_dir", str(tmp_path / "c")]
    command += ["--wav_scp", "dump/raw/test/wav.scp", "--output", str(again)]
    command += ["--text_file", "dump/raw/test/text_raw"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment)
    assert read_table(again / "units") == read_table(made / "units")
    texts = {name: line.split() for name, line in read_table(test / "text").items()}
    aligner = load_recognizer("exp/asr").aligner()
    wavs = read_table(again / "wav.scp")
    waves = [load_speech(again / wavs[name], aligner.sample_rate) for name in texts]
    recognized = aligner.align(waves, [[] for _ in waves])
    errors = total_errors(zip(texts.values(), (item.recognized for item in recognized)))
    scores = read_json(f"exp/{EXPS[-1]}/scores/scores.json")
    assert errors.rate == pytest.approx(scores["sets"]["test"]["TASTE"]["wer"]["rate"])


def test_a_killed_training_goes_on_from_its_last_epoch(finished):
    folder, _, killed = finished
    if killed:
        assert set(KILLED) & set(TRAININGS) <= set(killed)
    for name in set(killed) & set(TRAININGS):
        log = (folder / f"exp/{name}/train.log").read_text(encoding="utf-8")
        assert "The training was resumed" in log, name
        assert "1/2epoch started" not in log, name
        assert "1epoch results" not in log, name


def test_a_second_run_changes_nothing(finished):
    folder, options, _ = finished
    before = snapshot(folder)
    assert run_and_kill(folder, options, []) is None
    assert snapshot(folder) == before


@pytest.fixture
def slices(tmp_path):
    """A few recordings of each real set as a folder of Kaldi-style sets, no copies."""
    if not REALSPEECH.is_dir():
        pytest.skip(f"no real speech in {REALSPEECH}; TASTE_REALSPEECH names a folder")
    for name, count in {"train": 12, "dev": 3, "test": 3}.items():
        tables = read_kaldi_dir(REALSPEECH / "data" / f"mini_real_{name}")
        sizes = {
            utt: (REALSPEECH / path).stat().st_size for utt, path in tables.wav.items()
        }
        chosen = sorted(sizes, key=sizes.get)[:count]  # the shortest are the fastest
        part = KaldiDir(
            {utt: str((REALSPEECH / tables.wav[utt]).absolute()) for utt in chosen},
            {utt: tables.text[utt] for utt in chosen},
            {utt: tables.utt2spk[utt] for utt in chosen},
        )
        write_kaldi_dir(tmp_path / "slices" / name, part)
    return tmp_path / "slices"


def test_real_speech_passes_stages_1_to_10(slices, tmp_path):
    """Words are timed by the recipe's own encoder: these sets come without a ctm."""
    folder = copy_recipe(tmp_path, "mini_an4")
    sets = ["--train_set", "train", "--valid_set", "dev", "--test_sets", "test"]
    options = ["--data_dir", str(slices), *sets, "--nbpe", "40", "--stop_stage", "10"]
    assert run_and_kill(folder, options, []) is None
    timed = read_ctm(folder / "dump/raw/test/ctm_aligned")
    problems = read_rows(folder / "dump/raw/test/not_aligned.tsv")
    assert len(timed) + len(problems) == 3 and timed
    for name in (*EXPS, "unit_vocoder"):
        spoken = read_table(folder / f"exp/{name}/resynthesis/test/wav.scp")
        assert len(spoken) == 3
    scores = read_json(folder / f"exp/{EXPS[-1]}/scores/scores.json")
    assert "durations" in scores["sets"]["test"]["TASTE"]
