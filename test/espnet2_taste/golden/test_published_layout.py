"""The golden weights through import and export: nothing lost, nothing changed."""

import shutil
from copy import deepcopy

import pytest
import torch
import yaml

from espnet2_taste.bin import exports
from espnet2_taste.reference import importing, layout
from espnet2_taste.reference.importing import MODEL_FILE, import_folder
from espnet2_taste.reference.layout import PublishedFolder
from espnet2_taste.tasks.spoken_lm import SpokenLMTask
from espnet2_taste.tasks.taste import TasteTask
from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask


def test_round_trip_is_bit_identical(published, imported, tmp_path):
    folder = tmp_path / "again"
    options = ["--imported_dir", str(imported), "--output_dir", str(folder)]
    exports.main(["reference", *options])
    want, got = layout.read_folder(published), layout.read_folder(folder)
    assert got.config == want.config and got.places == want.places
    assert got.voice_file == want.voice_file
    for mine, theirs in ((got.state, want.state), (got.voice, want.voice)):
        assert mine.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert mine[name].dtype == tensor.dtype, name
            assert torch.equal(mine[name], tensor), name


def experiments(root):
    taslm = next(p for n in importing.TASLM_EXPS if (p := root / n).is_dir())
    options = ["--taste_exp", str(root / importing.TASTE_EXP)]
    options += ["--taslm_exp", str(taslm)]
    return [*options, "--vocoder_exp", str(root / importing.VOCODER_EXP)]


def test_experiments_without_an_import_are_described_anew(
    published, imported, import_options, tmp_path
):
    folder = tmp_path / "new"
    exports.main(["reference", *experiments(imported), "--output_dir", str(folder)])
    want, got = layout.read_folder(published), layout.read_folder(folder)
    assert got.state.keys() == want.state.keys()
    for name, tensor in want.state.items():
        unused = name.startswith("audio_tower.vq.rvq.mlps.")
        assert unused or torch.equal(got.state[name], tensor), name
    for name, tensor in want.voice.items():
        assert torch.equal(got.voice[name], tensor), name
    for section in layout.SECTIONS[:3]:
        for entry, value in got.config[section].items():
            known = want.config[section].get(entry, value)
            if not isinstance(value, dict) and entry != "kwargs_for_lora":
                assert known == value, (section, entry)
    import_folder(folder, tmp_path / "exp", import_options)


def test_parts_without_a_place_are_all_named(imported, tmp_path):
    exp = tmp_path / "taste"
    shutil.copytree(imported / importing.TASTE_EXP, exp)
    options = yaml.safe_load((exp / "config.yaml").read_text())
    options |= {"quantizer": "fsq", "unit_decoder": "small"}
    options["speech_encoder_conf"]["full_window"] = False
    (exp / "config.yaml").write_text(yaml.safe_dump(options))
    command = [*experiments(imported), "--output_dir", str(tmp_path / "out")]
    command[1] = str(exp)
    with pytest.raises(SystemExit) as error:
        exports.main(["reference", *command])
    for wanted in ("quantizer 'fsq'", "unit_decoder 'small'", "full_window is false"):
        assert wanted in str(error.value)
    with pytest.raises(SystemExit, match="name --taslm_exp, or --imported_dir"):
        exports.main(["reference", *command[:2]] + command[-2:])


@pytest.mark.parametrize(
    "task, names",
    [
        (TasteTask, [importing.TASTE_EXP]),
        (SpokenLMTask, importing.TASLM_EXPS),
        (UnitVocoderTask, [importing.VOCODER_EXP]),
    ],
)
def test_tasks_load_the_experiments(imported, task, names):
    exp = next(imported / name for name in names if (imported / name).is_dir())
    model, _ = task.build_model_from_file(exp / "config.yaml", exp / MODEL_FILE)
    state, saved = model.state_dict(), layout.read_tensors(exp / MODEL_FILE)
    assert state.keys() == saved.keys()
    for name, tensor in saved.items():
        assert torch.equal(state[name], tensor.to(state[name].dtype)), name


def test_frozen_parts_hold_the_published_weights(published, imported):
    state = layout.read_folder(published).state
    exp = imported / importing.TASTE_EXP
    model, _ = TasteTask.build_model_from_file(exp / "config.yaml", exp / MODEL_FILE)
    prefix = "audio_tower.audio_joint_encoder_segmenter.audio_encoder.encoder."
    encoder = model.tokenizer.encoder.backbone.state_dict()
    for name, tensor in encoder.items():
        published_name = prefix + name.replace(".feed_forward.fc", ".fc")
        assert torch.equal(tensor, state[published_name].float()), name


@pytest.fixture
def damaged(published, tmp_path):
    """Function: the published folder with its weights changed by a function."""

    def make(change):
        folder = tmp_path / "damaged"
        folder.mkdir()
        state = dict(layout.read_folder(published).state)
        change(state)
        layout.write_tensors(folder / layout.WEIGHTS, state)
        shutil.copyfile(published / layout.CONFIG, folder / layout.CONFIG)
        return folder

    return make


def test_every_wrong_weight_is_named(damaged, import_options, tmp_path):
    def change(state):
        del state["spoken_lm.pad_text_unit_embed"]
        state["speech_decoder.made_up"] = torch.zeros(1)
        norm = "speech_decoder.llm.after_norm.weight"
        state[norm] = torch.zeros(len(state[norm]) + 1)

    output = tmp_path / "exp"
    with pytest.raises(ValueError) as error:
        import_folder(damaged(change), output, import_options)
    message = str(error.value)
    assert "Missing: spoken_lm.pad_text_unit_embed." in message
    assert "Unknown: speech_decoder.made_up." in message
    assert "speech_decoder.llm.after_norm.weight" in message
    assert not output.exists()


def test_a_name_below_spoken_lm_that_is_unknown_is_named(
    damaged, import_options, tmp_path
):
    def change(state):
        state["spoken_lm.surprise.weight"] = torch.zeros(1)

    with pytest.raises(ValueError, match="spoken_lm.surprise.weight"):
        import_folder(damaged(change), tmp_path / "exp", import_options)


def variant_of(golden, content):
    """The published folder with the spoken LM of a case."""
    config = deepcopy(content.config)
    spoken = config["spoken_lm_config"]
    spoken.update(golden.config["case"].get("spoken_lm", {}))
    own = {
        name.replace("param.", "spoken_lm."): tensor
        for name, tensor in golden.tensors.items()
        if name.startswith("param.")
    }
    replaced = {".".join(name.split(".")[:2]) for name in own}
    state = {
        n: t for n, t in content.state.items() if not n.startswith(tuple(replaced))
    }
    state |= own
    if not spoken["use_lora"]:
        state = without_adapters(state)
    places = dict.fromkeys(state, layout.WEIGHTS)
    return PublishedFolder(config, state, places, {}, None)


def without_adapters(state):
    plain = {}
    for name, tensor in state.items():
        if ".lora_" not in name:
            name = name.replace("language_model.base_model.model.", "language_model.")
            plain[name.replace(".base_layer.", ".")] = tensor
    return plain


@pytest.mark.golden(
    "G5[a-g]_*",
    *("G4b_*/*" + end for end in ("-[1-3]", "_only", "-pad", "_mix", "_sum")),
)
def test_variants_of_the_spoken_lm(golden, published, import_options, tmp_path):
    """Heads, fusions, delays, with and without adapters: in, loaded, and out again."""
    content = variant_of(golden, layout.read_folder(published))
    source, exp, again = (tmp_path / name for name in ("source", "exp", "again"))
    layout.write_folder(source, content)
    import_folder(source, exp, import_options)
    taslm = next(p for n in importing.TASLM_EXPS if (p := exp / n).is_dir())
    SpokenLMTask.build_model_from_file(taslm / "config.yaml", taslm / MODEL_FILE)
    exports.main(["reference", "--imported_dir", str(exp), "--output_dir", str(again)])
    back = layout.read_folder(again)
    assert back.config == content.config and back.state.keys() == content.state.keys()
    for name, tensor in content.state.items():
        assert torch.equal(back.state[name], tensor), name


def test_another_quantizer_is_refused(imported, tmp_path, capsys):
    root = tmp_path / "exp"
    shutil.copytree(imported, root)
    exp = root / importing.TASTE_EXP
    state = layout.read_tensors(exp / MODEL_FILE)
    name = "tokenizer.quantizer.codebooks.0.vectors"
    layout.write_tensors(exp / MODEL_FILE, state | {name: state[name] + 1})
    with pytest.raises(SystemExit, match="codebooks.0.vectors"):
        exports.main(
            [
                "reference",
                "--imported_dir",
                str(root),
                "--output_dir",
                str(tmp_path / "out"),
            ]
        )
