"""The recipe of LibriTTS, stages 1 to 14, on a look-alike of the corpus.

Enters: a folder laid out as LibriTTS, tiny random models of the published kinds
(Whisper, S3 and CAM++ graphs, Llama). Leaves: results and packages of every stage.
"""

import importlib.util

import numpy as np
import pytest
import soundfile
from recipe_runs import copy_recipe, snapshot, start_recipe
from tiny_graphs import save_campplus, save_s3
from tiny_models import write_lm
from tiny_recognizers import write_whisper

from espnet2_taste.data.files import read_json
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.text.training import train_lm_tokenizer

RATE = 24000
LINES = ("Yes, sir.", "The red dog runs home.", "Stay with him, please!", "No.")
PARTS = {"train-clean-100": ("84", "103", "1034"), "dev-clean": ("174",)}
PARTS |= {"test-clean": ("61",)}
STEPS = ("text_only", "no_vq", "vq")
DEBUG = [
    *("--units_config", "conf/units_debug.yaml"),
    *("--taste_configs", " ".join(f"conf/train_taste_{s}_debug.yaml" for s in STEPS)),
    *("--unit_vocoder_config", "conf/train_unit_vocoder_debug.yaml"),
    *("--taslm_embed_config", "conf/train_taslm_embed_debug.yaml"),
    *("--taslm_token_config", "conf/train_taslm_token_debug.yaml"),
    *("--inference_config", "conf/decode_slm_debug.yaml"),
    *("--local_data_opts", "--train train-clean-100", "--max_unknown", "1"),
]


def voice(seconds: float, pitch: float) -> np.ndarray:
    """A buzz that swells and fades as syllables do."""
    times = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * pitch * k * times) / k for k in range(1, 20))
    return 0.1 * buzz * np.sin(2 * np.pi * 2 * times) ** 2


def write_corpus(folder):
    """The parts with their speakers, one chapter each, as LibriTTS lays them out."""
    for part, speakers in PARTS.items():
        for speaker in speakers:
            chapter = folder / part / speaker / "121550"
            chapter.mkdir(parents=True)
            for number, line in enumerate(LINES):
                name = f"{speaker}_121550_{number:06d}_000000"
                wave = voice(0.4 + 0.3 * len(line.split()), 80 + int(speaker) % 97)
                soundfile.write(chapter / f"{name}.wav", wave, RATE)
                (chapter / f"{name}.original.txt").write_text(line)
                (chapter / f"{name}.normalized.txt").write_text(line)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The recipe's folder and its options, after a run that was to pass."""
    for package in ("onnx", "onnxruntime"):
        if not importlib.util.find_spec(package):
            pytest.skip(f"{package} is not installed")
    root = tmp_path_factory.mktemp("libritts")
    write_corpus(root / "LibriTTS")
    for name in ("whisper", "tokenizer"):
        (root / name).mkdir()
    write_whisper(root / "whisper", LINES, True)
    train_lm_tokenizer(LINES, root / "tokenizer", 300)
    write_lm(root / "llama", root / "tokenizer")
    folder = copy_recipe(root, "libritts")
    (folder / "downloads").mkdir()
    save_s3(folder / "downloads/speech_tokenizer_v1.onnx")
    save_campplus(folder / "downloads/campplus.onnx")
    (folder / "db.sh").write_text(f"LIBRITTS={root}\nLIBRISPEECH=\n")
    options = ["--recognizer", str(root / "whisper"), "--lm", str(root / "llama")]
    options += [*DEBUG, "--ngpu", "0", "--parallel", "1"]
    options += ["--python", "env TASTE_WORDS=several python"]
    assert start_recipe(folder, options).wait() == 0, (folder / "run.log").read_text()[
        -4000:
    ]
    return folder, options


def test_all_stages_leave_their_results(finished):
    folder, _ = finished
    assert "WER" in (folder / "exp/RESULTS.md").read_text(encoding="utf-8")
    for name in ("taste.zip", "taslm.zip"):
        assert (folder / "exp/packed" / name).is_file()
    assert set(read_table(folder / "dump/raw/train/utt2spk").values()) == {
        *PARTS["train-clean-100"]
    }
    codes = read_json(folder / "exp/taste_vq_debug/codes/train/codes.json")
    assert codes["utterances"] == 3 * len(LINES) and len(codes["used"]) == 4


def test_a_second_run_changes_nothing(finished):
    folder, options = finished
    before = snapshot(folder)
    assert start_recipe(folder, options).wait() == 0
    after = snapshot(folder)
    assert {p for p in after if after[p] != before.get(p)} <= {folder / "exp/.python"}
