"""Inference imports nothing that only training needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helper_modules import load_tests
from tiny_models import write_lm

import espnet2_taste

TRAINING = {"espnet2.tasks", "espnet2.train.trainer", "espnet2.gan_tts", "s3prl"}
SIZES = {"num_mel_bins": 80, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
SIZES |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
SIZES |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 64}
RUN = """
import importlib, json, sys
from pathlib import Path

for module, options in json.loads(sys.argv[1]):
    importlib.import_module(f"espnet2_taste.bin.{module}").main(options)
"""
ACCURACY = """
from espnet2_taste.evaluation.unit_accuracy import taste_accuracies

exp, model_file, folder = map(Path, sys.argv[2:])
assert 0 <= taste_accuracies(exp, model_file, folder, 2, "cpu")["acc"] < 1
"""


def imported_by(code: str, commands: list, *arguments: Path | str) -> set[str]:
    """Modules of a process that runs commands of ``espnet2_taste.bin`` in turn."""
    code += "print(*sys.modules)"
    command = [sys.executable, "-c", code, json.dumps(commands), *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(output.stdout.splitlines()[-1].split())


def write_whisper(folder: Path) -> None:
    """A Whisper of random weights."""
    from transformers import WhisperConfig, WhisperModel

    special = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos")}
    WhisperModel(WhisperConfig(**SIZES, **special)).save_pretrained(folder)


@pytest.fixture(scope="module")
def asr_exp(asr_exp_builder, bpe_dir):
    """A recognizer of ESPnet that can read and write words."""
    return asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model"))


@pytest.fixture(scope="module")
def root(tmp_path_factory, bpe_dir, lm_tokenizer_dir, asr_exp):
    """A set and experiments whose parts are not ESPnet's own."""
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask
    from espnet2_taste.tasks.taste import TasteTask
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    speech = load_tests("bin", "test_taste_resynthesize.py")
    root = tmp_path_factory.mktemp("recipe")
    speech.write_set(root / "dump" / "test")
    write_whisper(root / "whisper")
    encoder = {"model": str(root / "whisper"), "value_layer": 1}
    parts = {"speech_encoder": "whisper", "speech_encoder_conf": encoder}
    tokens = ["--token_list", str(bpe_dir / "tokens.txt"), "--init_aggregator", "false"]
    tokens += ["--bpemodel", str(bpe_dir / "bpe.model")]
    speech.write_exp(TasteTask, root / "taste_vq", speech.TASTE | parts, *tokens)
    parts = {"speech_encoder_conf": {"asr_exp": str(asr_exp)}}
    speech.write_exp(TasteTask, root / "taste_asr", speech.TASTE | parts, *tokens)
    speech.write_exp(UnitVocoderTask, root / "unit_vocoder", speech.VOCODER)
    write_lm(root / "llm", lm_tokenizer_dir)
    options = ["--tokenizer_path", str(root / "llm"), "--init_lm", str(root / "llm")]
    options += ["--taste_exp", str(root / "taste_vq")]
    speech.write_exp(SpokenLMTask, root / "taslm", {}, *options)
    return root


RECOGNIZE = """
assert "espnet2.asr.decoder.transformer_decoder" not in sys.modules

import numpy
from espnet2_taste.recognizers.choices import load_recognizer

aligner = load_recognizer(sys.argv[2]).aligner()
assert len(aligner.transcribe([numpy.ones(16000, dtype=numpy.float32)])) == 1
"""


def options(root: Path, output: str, *experiments: str) -> list[str]:
    given = ["--sets", "test", "--dump_dir", str(root / "dump")]
    for name, exp in zip(experiments[::2], experiments[1::2]):
        given += [f"--{name}", str(root / exp)]
    return [*given, "--output_dir", str(root / output)]


def test_speaking_units_needs_neither_training_nor_transformers(root):
    command = options(root, "true", "unit_vocoder_exp", "unit_vocoder")
    command += ["--from_units", "true"]
    modules = imported_by(RUN, [("taste_resynthesize", command)])
    assert (root / "true" / "test" / "wav.scp").is_file()
    assert not modules & (TRAINING | {"transformers"})


def test_tokenizing_speaking_continuing_and_scoring_need_no_training(root):
    taste, voice = ("taste_exp", "taste_vq"), ("unit_vocoder_exp", "unit_vocoder")
    speech, codes = options(root, "speech", *taste, *voice), "taste_vq/codes"
    continued = options(root, "continued", *taste, *voice, "exp", "taslm")
    commands = [
        ("taste_tokenize", options(root, codes, *taste)),
        ("taste_resynthesize", [*speech, "--max_unit_ratio", "3"]),
        ("slm_inference", [*continued, "--prompt_words", "2", "--max_words", "3"]),
    ]
    model_file, folder = "valid.loss.best.pth", root / "dump" / "test"
    files = (root / "taste_vq", model_file, folder)
    modules = imported_by(RUN + ACCURACY, commands, *files)
    assert (root / "continued" / "test" / "wav.scp").is_file()
    assert "transformers" in modules and not modules & TRAINING


def test_a_recognizer_of_espnet_needs_no_training_either(root, asr_exp):
    command = options(root, "taste_asr/codes", "taste_exp", "taste_asr")
    commands = [("taste_tokenize", command)]
    modules = imported_by(RUN + RECOGNIZE, commands, asr_exp)
    assert (root / "taste_asr" / "codes" / "test" / "codes.scp").is_file()
    assert "espnet2.asr.encoder.conformer_encoder" in modules
    assert not modules & (TRAINING | {"espnet2.asr.espnet_model", "transformers"})
    assert not modules & {"librosa.filters", "numba"}


def test_commands_show_their_options_without_torch():
    folders = [Path(espnet2_taste.__file__).parent / name for name in ("bin", "cli")]
    modules = [
        f"espnet2_taste.{path.parent.name}.{path.stem}"
        for folder in folders
        for path in folder.glob("*.py")
        if path.stem != "__init__" and not path.stem.endswith("_train")
    ]
    code = "import importlib, json, sys\n"
    code += "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
    loaded = imported_by(code, modules)
    assert set(modules) <= loaded and len(modules) > 35
    assert not loaded & {"torch", "transformers", "scipy", "matplotlib", "sklearn"}
