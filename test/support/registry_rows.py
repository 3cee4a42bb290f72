"""How a registered name is tested: row kinds of ``test_registry.py`` and their tools.

A row's ``check`` builds the part by its task, trains one step, saves and rebuilds, and
demands the identical output; or it names the test that does so.
"""

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from espnet2_taste.text.preparation import TextRules

ROOT = Path(__file__).parents[1] / "espnet2_taste"
SIZES = dict(size=16, num_heads=2, linear_units=24)
PUBLISHED = dict(
    embed_size=8,
    hidden_size=8,
    text_blocks=1,
    taste_blocks=1,
    lm_blocks=1,
    attention_heads=2,
    linear_units=12,
    taste_attention_heads=2,
    taste_linear_units=12,
)
UNITS = dict(num_units=7, spembs_size=3)
RVQ = dict(num_codebooks=2, codebook_size=4, latent_size=8)
FSQ = dict(num_codebooks=2, levels=[3, 2])


class Elsewhere:
    """The name is trained, saved and reloaded by another test."""

    def __init__(self, test):
        self.test = test

    def check(self, name, tools):
        text = (ROOT / self.test).read_text(encoding="utf-8")
        assert name in text or tools.class_name in text, f"{self.test} lacks {name}"


class Taste:
    """A TASTE training with these changes to ``Tools.taste_options``.

    A value in braces, such as ``{asr}``, stands for a path of the tools.
    """

    def __init__(self, **changes):
        self.changes = changes

    def check(self, name, tools):
        from espnet2_taste.tasks.taste import TasteTask

        options = tools.taste_options() | tools.paths(self.changes)
        tools.round_trip(TasteTask, options, tools.utterances())


class Needing:
    """A row that is skipped where an optional package is absent."""

    def __init__(self, module, row):
        self.module, self.row = module, row

    def check(self, name, tools):
        pytest.importorskip(self.module, reason=f"{self.module} is not installed")
        self.row.check(name, tools)


class Taslm:
    """A TASLM training on codes of ``quantizer`` with these options."""

    def __init__(self, quantizer="rvq", **changes):
        self.quantizer, self.changes = quantizer, changes

    def check(self, name, tools):
        from espnet2_taste.tasks.spoken_lm import SpokenLMTask

        options = dict(
            tokenizer_path=tools.places["llm"],
            init_lm=tools.places["llm"],
            taste_exp=str(tools.quantizer_exp(self.quantizer)),
        )
        rows = [
            (uid, dict(text=data["text"], codes=np.zeros((2, 2), dtype=np.float32)))
            for uid, data in tools.utterances()
        ]
        tools.round_trip(SpokenLMTask, options | self.changes, rows)


class Grid:
    """A training of a rival design with these options."""

    sizes = dict(num_units=7, num_pitch=4, num_style=3)

    def __init__(self, **changes):
        self.changes = changes

    def check(self, name, tools):
        from espnet2_taste.tasks.spoken_lm import SpokenLMTask

        llm = tools.places["llm"]
        options = dict(tokenizer_path=llm, init_lm=llm, layout="parallel")
        options |= self.sizes | self.changes
        more = dict(
            pitch=np.array([0, 3, 1]),
            style=np.array([2]),
        )
        rows = [
            (uid, {k: data[k] for k in ("text", "units", "word_times")} | more)
            for uid, data in tools.utterances()
        ]
        tools.round_trip(SpokenLMTask, options, rows)


class Vocoder:
    """A vocoder training; the waveform must come back."""

    def __init__(self, **conf):
        self.conf = conf

    def check(self, name, tools):
        from espnet2_taste.tasks.unit_vocoder import task_of

        options = dict(vocoder=name, vocoder_conf=self.conf)
        rows = [
            (uid, {k: data[k] for k in ("speech", "units", "spembs")})
            for uid, data in tools.utterances()
        ]

        def speak(model, batch):
            lengths = batch["units_lengths"]
            args = (batch["units"].clamp(min=0), lengths, batch["spembs"])
            return model.vocoder.synthesize(*args)[0]

        tools.round_trip(task_of(name), options, rows, speak)


class Units:
    """Units or speakers fitted on speech, written and read again."""

    def __init__(self, unit_extractor="kmeans", speaker_embedder="mel_statistics"):
        self.names = unit_extractor, speaker_embedder

    def check(self, name, tools):
        from espnet2_taste.units import unit_exp
        from espnet2_taste.units.batches import SpeechBatch

        config = dict(
            unit_extractor=self.names[0],
            unit_extractor_conf=dict(recognizer=tools.places["asr"], num_units=4),
            speaker_embedder=self.names[1],
            speaker_embedder_conf=dict(n_mels=20),
        )
        waves = {uid: data["speech"] for uid, data in tools.utterances()}
        batch = SpeechBatch.from_arrays(waves)
        extractor = unit_exp.build_unit_extractor(config)
        embedder = unit_exp.build_speaker_embedder(config)
        extractor.fit([batch], seed=0)
        embedder.fit([batch])
        folder = tools.folder / "units"
        unit_exp.write_units_dir(folder, config, extractor, embedder)
        again = (
            unit_exp.load_unit_extractor(folder),
            unit_exp.load_speaker_embedder(folder),
        )
        for one, two in zip((extractor, embedder), again):
            want, got = one(batch.speech, batch.lengths), two(
                batch.speech, batch.lengths
            )
            torch.testing.assert_close(got, want, atol=0, rtol=0)


class Text:
    """A rule for raw text: the same words from a copy, as a worker process gets it."""

    def __init__(self, option):
        self.option = option

    def check(self, name, tools):
        words = TextRules(**{self.option: name}).function()("The  RED dog").words
        assert "".join(words).lower() == "thereddog"
        rule = tools.choices.get_class(name)()
        assert pickle.loads(pickle.dumps(rule))("a b") == rule("a b")


class Tokens(Taste):
    """A TASTE training on this vocabulary."""

    def __init__(self, **changes):
        super().__init__(init_aggregator=False, **changes)


class Tools:
    """Tiny models on disk, utterances, and the round trip every row makes."""

    def __init__(self, places, folder, bpe_dir):
        self.places, self.folder, self.bpe_dir = places, folder, bpe_dir
        self.choices = self.class_name = None

    def paths(self, options):
        """Options with ``{name}`` replaced by the path of that name."""
        if isinstance(options, dict):
            return {name: self.paths(value) for name, value in options.items()}
        if isinstance(options, str) and options.startswith("{"):
            return self.places[options[1:-1]]
        return options

    def taste_options(self):
        return dict(
            speech_encoder_conf=dict(asr_exp=self.places["asr"], value_layer=1),
            aggregator_conf=SIZES,
            quantizer_conf=RVQ,
            unit_decoder_conf=UNITS | PUBLISHED,
            token_list=str(self.bpe_dir / "tokens.txt"),
            bpemodel=str(self.bpe_dir / "bpe.model"),
        )

    def utterances(self):
        rng = np.random.default_rng(0)
        rows = []
        for index, text in enumerate(["the red", "the dog"]):
            count = 8000 + 1600 * index
            data = dict(
                text=text,
                speech=(rng.normal(size=count) * 0.1).astype(np.float32),
                units=rng.integers(0, 7, count // 640),
                spembs=rng.normal(size=3).astype(np.float32),
                word_times=np.array([0.0, 0.2, 0.2, 0.4], dtype=np.float32),
            )
            rows.append((f"utt{index}", data))
        return rows

    def quantizer_exp(self, name):
        """A TASTE experiment of which only the quantizer is there."""
        from espnet2_taste.tasks.choices import quantizer_choices

        conf = dict(rvq=RVQ, fsq=FSQ)[name]
        torch.manual_seed(0)
        quantizer = quantizer_choices.get_class(name)(12, **conf)
        state = quantizer.state_dict()
        folder = self.folder / name
        folder.mkdir()
        state = {f"tokenizer.quantizer.{key}": value for key, value in state.items()}
        torch.save(state, folder / "valid.loss.best.pth")
        config = {"quantizer": name, "quantizer_conf": conf}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return folder

    def round_trip(self, task, options, rows, output=None):
        """Build, train one step, save, rebuild: the output must be the same."""
        args = task.get_parser().parse_args(["--output_dir", str(self.folder)])
        args = argparse.Namespace(**(vars(args) | options))
        torch.manual_seed(0)
        model = task.build_model(args).train()
        check_exchange(model)
        preprocess = task.build_preprocess_fn(args, True)
        rows = [(uid, preprocess(uid, dict(data))) for uid, data in rows]
        batch = task.build_collate_fn(args, True)(rows)[1]
        before = {name: value.clone() for name, value in model.state_dict().items()}
        train_one_step(model, batch)
        state = model.state_dict()
        assert any(not torch.equal(state[name], before[name]) for name in before)
        torch.save(state, self.folder / "model.pth")
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(vars(args)), encoding="utf-8")
        rebuilt, _ = task.build_model_from_file(config, self.folder / "model.pth")
        output = output or (lambda model, batch: model(**batch)[:2])
        with torch.no_grad():
            want, got = (output(each.eval(), batch) for each in (model, rebuilt))
        torch.testing.assert_close(got, want, atol=0, rtol=0, equal_nan=True)


def check_exchange(model):
    """Several processes can train the model: they begin by sending all its tensors."""
    whole = (torch.uint8, torch.int8, torch.int32, torch.int64, torch.bool)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        assert tensor.is_floating_point() or tensor.dtype in whole, name


def train_one_step(model, batch):
    """One step of every optimizer; a model with a discriminator has two losses.

    What trains gets a gradient, for which processes of a training would wait.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    turns = [{"forward_generator": turn} for turn in (True, False)]
    for turn in turns if hasattr(model, "vocoder") else [{}]:
        result = model(**batch, **turn)
        loss = result["loss"] if isinstance(result, dict) else result[0]
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        if not isinstance(result, dict):
            named = model.named_parameters()
            assert not [n for n, p in named if p.requires_grad and p.grad is None]
        optimizer.step()
