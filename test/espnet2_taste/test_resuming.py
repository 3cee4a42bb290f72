"""A training killed between any two of its writes goes on from its last epoch."""

import os

import pytest
import torch
import yaml
from espnet2.train.reporter import Reporter

from espnet2_taste.bin import text_lm_train, train
from espnet2_taste.resuming import complete_epoch, whole_files

CRITERIA = [["valid", "loss", "min"], ["valid", "acc", "max"]]


def report(losses):
    """State of a reporter after an epoch for each loss."""
    reporter = Reporter()
    for epoch, loss in enumerate(losses, start=1):
        reporter.set_epoch(epoch)
        with reporter.observe("valid") as observer:
            observer.register({"loss": loss})
            observer.next()
    return reporter.state_dict()


@pytest.fixture
def experiment(tmp_path):
    """After the checkpoint of epoch 2, which is the best; its model was not written."""
    model = {"w": torch.arange(3.0)}
    state = {"model": model, "reporter": report([2.0, 1.0])}
    torch.save(state, tmp_path / "checkpoint.pth")
    torch.save({"w": torch.zeros(3)}, tmp_path / "1epoch.pth")
    for name in ("latest.pth", "valid.loss.best.pth"):
        (tmp_path / name).symlink_to("1epoch.pth")
    config = {"best_model_criterion": CRITERIA}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_the_model_of_the_last_epoch_and_the_links_are_completed(experiment):
    assert complete_epoch(experiment) == [
        "2epoch.pth",
        "latest.pth",
        "valid.loss.best.pth",
    ]
    for name in ("2epoch.pth", "latest.pth", "valid.loss.best.pth"):
        state = torch.load(experiment / name, weights_only=True)
        assert torch.equal(state["w"], torch.arange(3.0))
    assert complete_epoch(experiment) == []


def test_a_better_earlier_epoch_stays_the_best(experiment):
    state = torch.load(experiment / "checkpoint.pth", weights_only=True)
    state["reporter"] = report([1.0, 2.0])
    torch.save(state, experiment / "checkpoint.pth")
    complete_epoch(experiment)
    assert os.readlink(experiment / "valid.loss.best.pth") == "1epoch.pth"
    assert os.readlink(experiment / "latest.pth") == "2epoch.pth"


@pytest.mark.parametrize("length", [0, 100])
def test_half_a_checkpoint_is_named_with_the_remedy(experiment, length):
    content = (experiment / "checkpoint.pth").read_bytes()
    (experiment / "checkpoint.pth").write_bytes(content[:length])
    with pytest.raises(SystemExit, match="checkpoint.pth cannot be read.*Remove it"):
        train.main(["some.module", "--output_dir", str(experiment)])


def test_nothing_happens_before_the_first_checkpoint(tmp_path):
    assert complete_epoch(tmp_path) == []


class Killed(Exception):
    """Stands for a kill while an object is written."""


class Fatal:
    def __reduce__(self):
        raise Killed


def test_a_kill_while_writing_leaves_the_file_before(tmp_path):
    path = tmp_path / "checkpoint.pth"
    with whole_files():
        torch.save([1], path)
        with pytest.raises(Killed):
            torch.save([torch.zeros(9), Fatal()], str(path))
    assert torch.load(path, weights_only=True) == [1]
    assert torch.save.__module__ == "torch.serialization"


def test_streams_are_written_as_ever(tmp_path):
    with whole_files(), open(tmp_path / "x", "wb") as stream:
        torch.save([3], stream)
    assert torch.load(tmp_path / "x", weights_only=True) == [3]


def test_a_training_runs_behind_the_command(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(text_lm_train, "main", lambda cmd: seen.append(cmd))
    options = ["--resume", "true", "--output_dir", str(tmp_path), "--max_epoch", "1"]
    train.main(["espnet2_taste.bin.text_lm_train", *options])
    assert seen == [options]
