"""A TASTE training takes encoder, aggregator and their sizes from a recognizer."""

import argparse

import pytest
import torch
import yaml
from tiny_recognizers import ROOM

from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.tasks.build_taste import build_taste
from espnet2_taste.tasks.taste import TasteTask
from espnet2_taste.text.tokenizers import load_token_dir
from espnet2_taste.text.training import write_directory
from espnet2_taste.tokenizer.encoders.whisper import PretrainedWhisperEncoder

OPTIONS = {
    "speech_encoder_conf": {"value_layer": 1},
    "aggregator_conf": {"identity_values": True},
    "quantizer_conf": {"num_codebooks": 2, "codebook_size": 4, "latent_size": 8},
    "unit_decoder_conf": {
        "num_units": 7,
        "spembs_size": 3,
        "embed_size": 8,
        "hidden_size": 8,
        "text_blocks": 1,
        "taste_blocks": 1,
        "lm_blocks": 1,
        "attention_heads": 2,
        "linear_units": 12,
        "taste_attention_heads": 2,
        "taste_linear_units": 12,
    },
}


def parse(tmp_path, recognizer, **changes):
    """Options of a training with the recognizer's own tokens, as stage 7 gives them."""
    tokens = tmp_path / "tokens"
    kind = load_recognizer(recognizer).write_vocabulary
    write_directory(tokens, kind)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(OPTIONS | changes))
    command = ["--config", f"{tmp_path}/train.yaml", "--recognizer", recognizer]
    command += ["--token_type", (tokens / "token_type").read_text().strip()]
    files = {"token_list": "tokens.txt", "bpemodel": "bpe.model"}
    for option, name in files.items():
        if (tokens / name).is_file():
            command += [f"--{option}", str(tokens / name)]
    command += ["--tokenizer_path", str(tokens)]
    return TasteTask.get_parser().parse_args([*command, "--output_dir", str(tmp_path)])


def test_whisper_brings_encoder_decoder_and_more_rows_than_tokens(
    whisper_dirs, tmp_path
):
    place = str(whisper_dirs[False])
    args = parse(tmp_path, place)
    model = build_taste(args)
    tokenizer = model.tokenizer
    tokens = load_token_dir(tmp_path / "tokens")
    assert isinstance(tokenizer.encoder, PretrainedWhisperEncoder)
    assert tokenizer.aggregator.embed.num_embeddings == tokens.vocab_size + ROOM
    assert tokenizer.aggregator.prefix.tolist() == tokens.decoder_prefix()
    trained = tokenizer.encoder.decoder_state()["embed.weight"]
    assert torch.equal(tokenizer.aggregator.embed.weight, trained)
    # config.yaml holds all that was taken, so that the model is built again from it
    kept = yaml.safe_load(yaml.safe_dump(vars(args)))
    assert kept["recognizer"] == "whisper"
    assert kept["recognizer_conf"] == {"model": place}
    assert kept["aggregator_conf"]["max_positions"] == 64
    again = build_taste(argparse.Namespace(**kept))
    assert list(again.state_dict()) == list(model.state_dict())
    again.load_state_dict(model.state_dict())


def test_every_kind_swaps_without_another_option(
    ctc_dir, asr_exp_builder, bpe_dir, tmp_path
):
    exp = asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model"), token_type="bpe")
    for index, place in enumerate((exp, ctc_dir)):
        folder = tmp_path / str(index)
        folder.mkdir()
        changes = {"aggregator_conf": {"size": 16, "num_heads": 2}}
        args = parse(folder, str(place), **changes)
        model = build_taste(args)
        kind = load_recognizer(str(place)).speech_encoder
        assert args.speech_encoder == kind
        assert model.tokenizer.encoder.value_layers == (1,)


def test_a_named_encoder_stays(whisper_dirs, ctc_dir, tmp_path):
    args = parse(
        tmp_path,
        str(whisper_dirs[False]),
        speech_encoder="ssl",
        speech_encoder_conf={"model": str(ctc_dir), "value_layer": 1},
        aggregator_conf={"size": 16, "num_heads": 2},
        init_aggregator=False,
    )
    build_taste(args)
    assert args.speech_encoder == "ssl" and args.aggregator == "espnet"


def test_a_wrong_option_is_named(whisper_dirs):
    with pytest.raises(ValueError, match="recognizer_conf of 'whisper': .*langage"):
        load_recognizer(str(whisper_dirs[True]), {"langage": "de"})
