"""A training killed between any two of its writes goes on from its last epoch."""

import os
import shutil
from types import SimpleNamespace

import pytest
import torch
from espnet2.train.reporter import Reporter
from espnet2.train.trainer import Trainer

from espnet2_taste.resuming import complete_epoch, forget_former, set_aside
from espnet2_taste.tasks.trainers import WholeFileTrainer

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
    return tmp_path


def test_the_model_of_the_last_epoch_and_the_links_are_completed(experiment):
    assert complete_epoch(experiment, CRITERIA, {}) == [
        "2epoch.pth",
        "latest.pth",
        "valid.loss.best.pth",
    ]
    for name in ("2epoch.pth", "latest.pth", "valid.loss.best.pth"):
        state = torch.load(experiment / name, weights_only=True)
        assert torch.equal(state["w"], torch.arange(3.0))
    assert complete_epoch(experiment, CRITERIA, {}) == []


def test_a_better_earlier_epoch_stays_the_best(experiment):
    state = torch.load(experiment / "checkpoint.pth", weights_only=True)
    state["reporter"] = report([1.0, 2.0])
    torch.save(state, experiment / "checkpoint.pth")
    complete_epoch(experiment, CRITERIA, {})
    assert os.readlink(experiment / "valid.loss.best.pth") == "1epoch.pth"
    assert os.readlink(experiment / "latest.pth") == "2epoch.pth"


def cut(path, length):
    """What a kill leaves of a file while it is written."""
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize("length", [0, 100])
def test_half_a_checkpoint_falls_back_to_the_epoch_before(experiment, length):
    complete_epoch(experiment, CRITERIA, {})
    set_aside(experiment)
    shutil.copy(experiment / "checkpoint.former.pth", experiment / "checkpoint.pth")
    cut(experiment / "checkpoint.pth", length)
    assert complete_epoch(experiment, CRITERIA, {}) == []
    states = torch.load(experiment / "checkpoint.pth", weights_only=True)
    assert states["reporter"]["epoch"] == 2
    assert not (experiment / "checkpoint.former.pth").exists()


def test_a_kill_before_the_next_checkpoint_is_begun(experiment):
    set_aside(experiment)
    assert complete_epoch(experiment, CRITERIA, {})
    assert (experiment / "checkpoint.pth").is_file()


def test_half_a_model_is_written_again(experiment):
    complete_epoch(experiment, CRITERIA, {})
    cut(experiment / "2epoch.pth", 100)
    assert complete_epoch(experiment, CRITERIA, {}) == ["2epoch.pth"]
    torch.load(experiment / "2epoch.pth", weights_only=True)


def make_parts():
    """A model, its optimizer and a schedule, before the first step."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    parts = {"optimizers": [optimizer], "schedulers": [schedule, None]}
    return model, parts


@pytest.mark.parametrize("epoch", [10, 9])
def test_without_a_checkpoint_the_last_whole_model_goes_on(tmp_path, epoch):
    """As ESPnet resumes it; the last model may be cut off as well."""
    trained, _ = make_parts()
    for name in ("9epoch.pth", "10epoch.pth"):
        trained.weight.data += 1
        torch.save(trained.state_dict(), tmp_path / name)
    if epoch == 9:
        cut(tmp_path / "10epoch.pth", 100)
    for name in ("checkpoint.pth", "checkpoint.former.pth"):
        (tmp_path / name).write_bytes(b"PK, and no more")
    model, parts = make_parts()
    begin = {name: [p and p.state_dict() for p in parts[name]] for name in parts}
    links = complete_epoch(tmp_path, CRITERIA, begin | {"scaler": None})
    assert links == ["latest.pth"]
    assert os.readlink(tmp_path / "latest.pth") == f"{epoch}epoch.pth"
    reporter = Reporter()
    Trainer.resume(tmp_path / "checkpoint.pth", model, reporter, scaler=None, **parts)
    assert reporter.get_epoch() == epoch
    wanted = torch.load(tmp_path / f"{epoch}epoch.pth", weights_only=True)
    assert torch.equal(model.weight, wanted["weight"])
    assert parts["optimizers"][0].param_groups[0]["lr"] == 0.5
    assert complete_epoch(tmp_path, CRITERIA, {}) == []


def test_a_kill_in_the_first_epoch_starts_anew(experiment):
    (experiment / "1epoch.pth").unlink()
    cut(experiment / "checkpoint.pth", 100)
    assert complete_epoch(experiment, CRITERIA, {}) == []
    assert not (experiment / "checkpoint.pth").exists()


def test_nothing_happens_before_the_first_checkpoint(tmp_path):
    assert complete_epoch(tmp_path, CRITERIA, {}) == []
    set_aside(tmp_path)
    forget_former(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_of_several_processes_touches_files(
    experiment, monkeypatch, rank
):
    """And the others wait until it has."""
    names = sorted(path.name for path in experiment.iterdir())
    seen = []

    def note(**parts):
        seen.append(sorted(path.name for path in experiment.iterdir()))

    monkeypatch.setattr(torch.distributed, "barrier", note)
    for method in ("run", "validate_one_epoch"):
        monkeypatch.setattr(Trainer, method, staticmethod(note))
    option = SimpleNamespace(distributed=True, dist_rank=rank)
    options = SimpleNamespace(
        output_dir=experiment, resume=True, best_model_criterion=CRITERIA
    )
    parts = {"optimizers": [], "schedulers": []}
    WholeFileTrainer.run(trainer_options=options, distributed_option=option, **parts)
    mended = names if rank else sorted([*names, "2epoch.pth"])
    assert seen == [mended, mended]  # at the barrier, and when ESPnet begins
    reporter = SimpleNamespace(epoch=2)
    WholeFileTrainer.validate_one_epoch(
        reporter=reporter, options=options, distributed_option=option
    )
    assert (experiment / "checkpoint.former.pth").exists() == (rank == 0)
