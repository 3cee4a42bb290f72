"""How a trained design that writes units, or text, continues words with units.

Enters: beginnings of utterances. Leaves: text and units that were added.

Legend: B utterances, U units.
"""

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.inference.continuer import AbsContinuer
from espnet2_taste.inference.results import UnitTokens
from espnet2_taste.inference.unit_writers import AbsUnitWriter, SpokenText
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.layouts.utterance import Row, Utterance
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.prompt_specs import SpokenPrompt
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams


class UnitContinuer(AbsContinuer):
    """Words with units -> more of them.

    Args:
        model: A trained model in evaluation mode; without guidance its adapters are
            merged.
        preprocessor: Its data side.
        limits: How much is generated.
        options: How ids are drawn.
        writer: Makes the units of what is written.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self,
        model: ESPnetSpokenLMModel,
        preprocessor: GridPreprocessor,
        limits: Limits,
        options: GenerationOptions,
        writer: AbsUnitWriter,
        seed: int = 0,
    ):
        options.prepare(model.core)
        generator = Generator(model.core, options, limits, writer.unit_seconds)
        super().__init__(generator, preprocessor.reader.tokenizer, seed)
        self.layout = model.core.layout
        self.reader = preprocessor.reader
        self.writer = writer

    def checked(self, name, item, rules) -> Utterance:
        """See :meth:`AbsContinuer.checked`: words with units alone."""
        if type(item) is SpokenPrompt:
            item = item.spoken
        if not isinstance(item, UnitTokens):
            raise ValueError(
                f"utterance '{name}': a {type(item).__name__} is no beginning that "
                "this model can continue: give speech, or use a TASLM"
            )
        return self.reader(name, item.fields)

    def __call__(self, names, prompts) -> list[UnitTokens]:
        """See :meth:`AbsContinuer.__call__`."""
        found = self.continuations(names, prompts)
        units = self.writer(names, found, {})
        return [
            UnitTokens(tuple(item.text.split()), row.units.numpy())
            for item, row in zip(found, units)
        ]

    @torch.inference_mode()
    def continuations(self, names, prompts) -> list[SpokenText]:
        """See :meth:`AbsContinuer.continuations`."""
        grids = [self.layout.prompt(prompt) for prompt in prompts]
        streams = UniformStreams.from_ids(names, self.seed)
        rows = [self.generator.core.prompt(grid) for grid in grids]
        found = self.generator(rows, streams)
        tails = self._tails([item.ids for item in found], [len(g) for g in grids])
        return [self._added(*row) for row in zip(prompts, grids, found, tails)]

    def _tails(self, grids, firsts) -> list[Row]:
        """Units of a tail head, of what was added, B of them."""
        end = self.layout.inventory.text.end_id
        rows = [torch.from_numpy(ids[ids[:, 0] != end]) for ids in grids]
        device = self.generator.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        padded = pad_sequence(rows, True, -1).to(device)
        first = torch.tensor(firsts, device=device).minimum(lengths)
        return self.generator.core.tail_units(padded, lengths, first)

    def _added(self, prompt: Utterance, grid, item, tail: Row) -> SpokenText:
        """Take the prompt away from what was decoded."""
        whole = self.layout.decode(item.ids, tail)
        before = self.layout.decode(grid) if (grid >= 0).all() else prompt
        words = whole.words[len(before.words) :]
        units = whole.units[len(before.units) :]
        tokenizer = self.tokenizer
        spelt = ["".join(tokenizer.decode(word).split()) for word in words]
        return SpokenText(
            text=" ".join(word for word in spelt if word),
            units=tuple(unit[0] for unit in units),
            ended=item.ended,
            rows=item.rows,
        )
