"""How a packed model is used unless a call says otherwise: what made its numbers.

Enters: the configurations of a recipe's inference and the training set's text rules.
Leaves: ``InferenceSettings``, and as a file of the package (``inference.yaml``) one
section each: ``units``, ``generation``, ``words``, ``text``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from espnet2_taste.data.files import read_yaml
from espnet2_taste.inference.sampling_options import UnitSampling
from espnet2_taste.option_fields import from_options
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.text.preparation import TextRules, read_rules

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class InferenceSettings:
    """How a model is used.

    Attributes:
        units: How units are drawn.
        generation: How text and codes are drawn.
        words: How long a continuation may be.
        text: How raw text becomes words; the default rules if nothing is known.
    """

    units: UnitSampling = field(default_factory=UnitSampling)
    generation: GenerationOptions = field(default_factory=GenerationOptions)
    words: Limits = field(default_factory=Limits)
    text: TextRules = field(default_factory=TextRules)

    @classmethod
    def read(cls, path: str | Path | None) -> "InferenceSettings":
        """Read the file of a package.

        Args:
            path: YAML; None for the published values.

        Returns:
            The settings.

        Raises:
            ValueError: It holds something else.
        """
        if path is None:
            return cls()
        sections = {item.name: item.default_factory for item in fields(cls)}
        content = read_yaml(path)
        if set(content) - set(sections):
            raise ValueError(
                f"{path} holds no settings: expected the sections {sorted(sections)}"
            )
        try:
            return cls(
                **{key: sections[key](**_plain(content[key])) for key in content}
            )
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_recipe(
        cls, resynthesis: Mapping, inference: Mapping, train_set: Path | None, seed: int
    ) -> "InferenceSettings":
        """Collect what the stages of a recipe used.

        Args:
            resynthesis: Options of stage 9 (``conf/decode_taste.yaml``).
            inference: Options of stage 12 (``conf/decode_slm.yaml``).
            train_set: Folder whose text the model was trained on.
            seed: Of all drawing.

        Returns:
            The settings.
        """
        rules = read_rules(train_set) if train_set else None
        return cls(
            UnitSampling.from_options({**resynthesis, "seed": seed}),
            from_options(GenerationOptions, inference),
            from_options(Limits, inference),
            rules or TextRules(),
        )

    def as_yaml(self) -> str:
        """The file of a package."""
        sections = asdict(self)
        sections["text"]["symbols"] = list(self.text.symbols)
        return yaml.safe_dump(sections, sort_keys=False)


def changed(settings: Settings, given: Settings | Mapping[str, Any] | None) -> Settings:
    """Settings of a call.

    Args:
        settings: Of the package.
        given: None for these, single values that differ, or others in their place.

    Returns:
        What the call uses.

    Raises:
        ValueError: A value has a name that does not exist.
    """
    if given is None:
        return settings
    if not isinstance(given, Mapping):
        return given
    try:
        return replace(settings, **given)
    except TypeError as error:
        known = ", ".join(item.name for item in fields(settings))
        raise ValueError(f"{error}; there are: {known}") from error


def _plain(section: Mapping) -> dict[str, Any]:
    """Values of a section as dataclasses hold them."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}
