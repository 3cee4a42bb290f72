"""Any trained design, from a set's prompts to what is spoken.

Enters: options of a command; the folder of a set. Leaves: its prompts, their
continuations, and files of speech. Whatever the design, one loop
(``bin/slm_inference.py``) reads, generates and writes; what differs between TASLM and
the grids is here.

Legend: B utterances, U units, E speaker features.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.continuer import AbsContinuer, TaslmContinuer
from espnet2_taste.inference.loading import (
    build_untrained,
    load_spoken_lm,
    load_unit_vocoder,
)
from espnet2_taste.inference.prompt_sets import PromptSet, cut
from espnet2_taste.inference.resynthesis import UnitGenerator
from espnet2_taste.inference.sampling_options import UnitSampling
from espnet2_taste.inference.speakers import Speaker, SpokenUnits
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.inference.unit_continuer import UnitContinuer
from espnet2_taste.inference.unit_writers import UnitsFromText, unit_writer
from espnet2_taste.option_fields import from_options
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits
from espnet2_taste.tasks.fitting import check_speakable

OF_TASLM = {"prompt_kind": "audio", "stop_token": None, "reference_compat": False}
"""Options that other designs cannot follow, with their defaults."""


class AbsDesign(ABC):
    """A spoken LM with what turns its output into speech.

    Args:
        continuer: The model.
        speaker: Speaks the items of :meth:`parts`.
        prompt_set: Kind of the prompts.
    """

    def __init__(
        self, continuer: AbsContinuer, speaker: Speaker, prompt_set: PromptSet
    ):
        self.continuer = continuer
        self.speaker = speaker
        self.prompt_set = prompt_set
        self.folders = prompt_set.folders

    @abstractmethod
    def read(self, folder: Path) -> dict[str, Any]:
        """Prompts of a set by utterance id; each has ``words``."""

    def voices(self, folder: Path, names: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Speaker embeddings (E,) by utterance id."""
        return self.prompt_set.voices(folder, names)

    def generate(self, names: Sequence[str], prompts: Sequence) -> list:
        """Continue B prompts; see ``AbsContinuer.continuations``."""
        return self.continuer.continuations(names, prompts)

    @abstractmethod
    def parts(
        self,
        names: Sequence[str],
        prompts: Sequence,
        found: Sequence,
        spembs: Mapping[str, np.ndarray],
    ) -> Sequence[Sequence]:
        """What is spoken into each of :attr:`folders`, B items each."""


class TaslmDesign(AbsDesign):
    """TASLM: words with codes, spoken by the TASTE decoder.

    Args:
        continuer: The model.
        speaker: Of words with codes.
        prompt_set: Kind of the prompts.
        codes_dir: Parent of ``<set>/codes.scp``.
    """

    def __init__(
        self,
        continuer: TaslmContinuer,
        speaker: Speaker,
        prompt_set: PromptSet,
        codes_dir: Path,
    ):
        super().__init__(continuer, speaker, prompt_set)
        self.codes_dir = codes_dir

    def read(self, folder):
        """See :meth:`AbsDesign.read`."""
        return self.prompt_set.read(folder, self.codes_dir / folder.name)

    def parts(self, names, prompts, found, spembs):
        """See :meth:`AbsDesign.parts`."""
        added = [self.continuer.words(item) for item in found]
        return self.prompt_set.parts(prompts, added)


@dataclass(frozen=True)
class UnitPrompt:
    """The beginning of an utterance.

    Attributes:
        text: Its words, joined by spaces.
        utterance: The same with units.
    """

    text: str
    utterance: Utterance

    @property
    def words(self) -> Sequence:
        """Its words as token ids."""
        return self.utterance.words


class GridDesign(AbsDesign):
    """A design that writes units, or text whose units another model makes.

    Args:
        continuer: The model.
        speaker: Of units.
        prompt_set: Of spoken prompts.
        ctm: File with word times in the sets.
    """

    def __init__(
        self,
        continuer: UnitContinuer,
        speaker: Speaker,
        prompt_set: PromptSet,
        ctm: str = "ctm",
    ):
        super().__init__(continuer, speaker, prompt_set)
        self.ctm = ctm

    def read(self, folder):
        """See :meth:`AbsDesign.read`."""
        needs = self.continuer.layout.needs | {"units", "word_times"}
        fields = read_fields(folder, self.ctm, needs)
        texts = read_table(folder / "text")
        utterances = {n: self.continuer.reader(n, field) for n, field in fields.items()}
        return {
            name: UnitPrompt(" ".join(texts[name].split()[: len(item.words)]), item)
            for name, item in cut(utterances, folder, self.prompt_set.words).items()
        }

    def generate(self, names, prompts):
        """See :meth:`AbsDesign.generate`."""
        return super().generate(names, [prompt.utterance for prompt in prompts])

    def parts(self, names, prompts, found, spembs):
        """See :meth:`AbsDesign.parts`; the prompt keeps its own units."""
        own = self.continuer.writer(names, found, spembs)
        before, whole, after = [], [], []
        for prompt, item, units in zip(prompts, found, own):
            first = torch.tensor([frame[0] for frame in prompt.utterance.units])
            before.append(SpokenUnits(prompt.text, GeneratedUnits(first)))
            text = f"{prompt.text} {item.text}".strip()
            whole.append(SpokenUnits(text, units.behind(first)))
            after.append(SpokenUnits(item.text, units))
        return before, whole, after


def stop_id(token: str | None, tokenizer) -> int | None:
    """Id of the text token that ends TASLM's speech; None for the one of training.

    Args:
        token: It as text, or None.
        tokenizer: The text LM's, of ``transformers``.

    Raises:
        ValueError: It does not exist.
    """
    found = None if token is None else tokenizer.get_vocab().get(token)
    if token is not None and found is None:
        raise ValueError(
            f"--stop_token {token}: expected a token of the text LM; its special ones "
            f"are {tokenizer.all_special_tokens}"
        )
    return found


def build_unit_generator(args: argparse.Namespace) -> UnitGenerator:
    """Load the unit decoder of ``--taste_exp``.

    Raises:
        ValueError: It was not given.
    """
    if not args.taste_exp:
        raise ValueError(
            f"{args.exp} writes no units: give --taste_exp, the experiment whose codes "
            "it writes, for the cascade a text-only one"
        )
    place = (args.taste_exp, args.taste_model_file, args.device)
    encoder = TasteEncoder.from_exp(*place)
    return UnitSampling.from_options(vars(args)).generator(encoder)


def build_taslm(args: argparse.Namespace, model, preprocessor, vocoder) -> TaslmDesign:
    """TASLM with the decoder of its codes."""
    end = stop_id(args.stop_token, preprocessor.reader.tokenizer.tokenizer)
    how = [from_options(kind, vars(args)) for kind in (Limits, GenerationOptions)]
    continuer = TaslmContinuer(model, preprocessor, *how, args.seed, end)
    generator = build_unit_generator(args)
    unit_decoder = generator.encoder.model.unit_decoder
    check_speakable(unit_decoder, vocoder, args.taste_exp, args.unit_vocoder_exp)
    what = (args.prompt_kind, args.prompt_words, args.num_samples, args.turn_frame)
    codes_dir = Path(args.codes_dir or Path(args.taste_exp) / "codes")
    speaker = Speaker(vocoder, args.audio_format, generator)
    return TaslmDesign(continuer, speaker, PromptSet(*what), codes_dir)


def build_grid(args: argparse.Namespace, model, preprocessor, vocoder) -> GridDesign:
    """A design that writes a grid.

    Raises:
        ValueError: An option that has no effect on other designs than TASLM, or
            something that the design needs was not given.
    """
    for name, default in OF_TASLM.items():
        if (value := getattr(args, name)) != default:
            raise ValueError(
                f"--{name} {value}: only TASLM knows it, {args.exp} is of another "
                "design; leave it out for all that are compared"
            )
    how = [from_options(kind, vars(args)) for kind in (Limits, GenerationOptions)]
    if args.lm:
        writer = UnitsFromText(build_unit_generator(args))
    else:
        writer = unit_writer(preprocessor.layout, args.durations, "--durations")
    speaker = Speaker(vocoder, args.audio_format)
    continuer = UnitContinuer(model, preprocessor, *how, writer, args.seed)
    prompts = PromptSet("audio", args.prompt_words)
    return GridDesign(continuer, speaker, prompts, args.ctm)


def build_design(args: argparse.Namespace) -> AbsDesign:
    """Load what the options of ``slm_inference`` describe."""
    if args.lm:
        model, preprocessor = build_untrained(args.exp, args.lm, args.device)
    else:
        model, preprocessor = load_spoken_lm(args.exp, args.model_file, args.device)
    build = build_taslm if "codes" in preprocessor.layout.needs else build_grid
    vocoder = load_unit_vocoder(args.unit_vocoder_exp, args.device)
    return build(args, model, preprocessor, vocoder)
