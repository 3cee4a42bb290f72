"""A recognizer in two processes and in half precision: ESPnet's model."""

from functools import partial

import numpy as np
import pytest
import torch
from espnet2.tasks.asr import ASRTask
from half_precision import check_half_precision
from two_processes import train_in_two

from espnet2_taste.bin import asr_train
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.kaldi_dir import write_table


def test_two_processes_train(tmp_path, tiny_asr_exp, bpe_dir, sentences):
    rng, wavs = np.random.default_rng(0), {}
    for index in range(8):
        wavs[f"utt{index}"] = str(tmp_path / f"utt{index}.wav")
        speech = 0.1 * rng.standard_normal(24000 + 1600 * index)
        write_audio(wavs[f"utt{index}"], speech, 16000)
    write_table(tmp_path / "wav.scp", wavs)
    write_table(tmp_path / "text", {n: sentences[i] for i, n in enumerate(wavs)})
    options = ["--config", str(tiny_asr_exp / "train_asr.yaml"), "--token_type", "bpe"]
    options += ["--token_list", str(bpe_dir / "tokens.txt")]
    options += ["--bpemodel", str(bpe_dir / "bpe.model"), "--optim", "adam"]
    options += ["--batch_type", "unsorted", "--batch_size", "4", "--max_epoch", "1"]
    options += ["--num_workers", "0", "--num_att_plot", "0"]
    for name in ("report_cer", "report_wer"):  # as in the recipes
        options += ["--model_conf", f"{name}=false"]
    options += ["--use_matplotlib", "false", "--use_tensorboard", "false"]
    for part in ("train", "valid"):
        options += [f"--{part}_shape_file", str(tmp_path / "wav.scp")]
        for data in ("wav.scp,speech,sound", "text,text,text"):
            options += [f"--{part}_data_path_and_name_and_type", f"{tmp_path}/{data}"]
    main = partial(train_in_two, tmp_path, asr_train.__name__)
    main(cmd=[*options, "--output_dir", str(tmp_path / "exp")])
    state = torch.load(tmp_path / "exp/1epoch.pth", weights_only=True)
    assert all(torch.isfinite(value).all() for value in state.values())
    assert not (tmp_path / "exp/checkpoint.former.pth").exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_changes_little(tiny_asr_exp, dtype):
    model, _ = ASRTask.build_model_from_file(tiny_asr_exp / "config.yaml")
    model.error_calculator = None  # as in the recipes
    torch.manual_seed(0)
    batch = {
        "speech": 0.1 * torch.randn(2, 24000),
        "speech_lengths": torch.tensor([24000, 16000]),
        "text": torch.tensor([[5, 6, 7], [8, 9, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }
    check_half_precision(model, batch, dtype)
