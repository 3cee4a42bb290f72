"""The renditions a tokenizer is compared with, found by where they lie.

Enters: the directory of experiments. Leaves: label and folder of each experiment that
has resynthesized something, in the order in which tables show them: units from audio,
TASTE without codes, TASTE, text only.
"""

from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.experiment_files import CONFIG, current, read_config

TOPLINE, NO_VQ, TASTE, TEXT_ONLY = "units from audio", "no VQ", "TASTE", "text only"
ORDER = (TOPLINE, NO_VQ, TASTE, TEXT_ONLY)


@dataclass(frozen=True)
class Variant:
    """One way to render a set.

    Attributes:
        label: Its name in tables.
        exp: Its experiment directory.
    """

    label: str
    exp: Path

    @property
    def trained(self) -> bool:
        """Whether a model lies beside it; another's may have made the rendition."""
        return (self.exp / CONFIG).is_file()

    @property
    def speaks_units(self) -> bool:
        """Whether it renders the true units, so that only its vocoder is judged."""
        return "vocoder" in self.exp.name

    def rendition(self, set_name: str) -> Path:
        """Folder of a resynthesized set."""
        return self.exp / "resynthesis" / set_name


def label_of(exp: Path, taste_exp: Path) -> str | None:
    """Label of an experiment directory, None if it is no variant.

    Args:
        exp: Directory that holds ``resynthesis``.
        taste_exp: The tokenizer that is scored.

    Returns:
        One of ``ORDER``, or the directory's own name for other TASTE experiments and
        vocoders (``vocoder_...``).
    """
    name = exp.name
    if exp.resolve() == taste_exp.resolve():
        return TASTE
    for part, label in (
        ("unit_vocoder", TOPLINE),
        ("no_vq", NO_VQ),
        ("text_only", TEXT_ONLY),
    ):
        if part in name:
            return label
    return name if name.startswith(("taste", "vocoder")) else None


def training_steps(exp: Path) -> list[Path]:
    """Experiments in which a tokenizer was trained, the first step first.

    Args:
        exp: The last step; ``init_param`` in its configuration names the one before.

    Returns:
        Directories; those of other places have only their names in common.
    """
    steps = [exp]
    while (steps[0] / CONFIG).is_file():
        before = (read_config(steps[0] / CONFIG).get("init_param") or [None])[0]
        if before is None:
            break
        steps.insert(0, exp.parent / Path(before.split(":")[0]).parent.name)
    return steps


def trained_epochs(exp: Path) -> int | None:
    """Epochs of all steps of a tokenizer's training, None if nothing is known."""
    configs = [step / CONFIG for step in training_steps(exp)]
    if not all(config.is_file() for config in configs):
        return None
    return sum(read_config(config).get("max_epoch", 0) for config in configs)


def find_variants(expdir: Path, taste_exp: Path) -> list[Variant]:
    """Find every experiment with a resynthesis.

    Args:
        expdir: Directory of experiments.
        taste_exp: The tokenizer that is scored.

    Returns:
        Variants in the order of tables; others behind, by name.

    Raises:
        ValueError: The tokenizer itself has no resynthesis, or two experiments claim
            one label.
    """
    steps = {exp.name for exp in training_steps(taste_exp)}
    found: dict[str, Variant] = {}
    folders = {p.parent for p in current(expdir.glob("*/resynthesis"), expdir)}
    if (taste_exp / "resynthesis").is_dir():
        folders = {f for f in folders if f.resolve() != taste_exp.resolve()}
        folders.add(taste_exp)
    for exp in sorted(folders):
        label = label_of(exp, taste_exp)
        if label in (NO_VQ, TEXT_ONLY) and len(steps) > 1 and exp.name not in steps:
            label = exp.name  # a step of another tokenizer
        if label in found:
            raise ValueError(
                f"{exp} and {found[label].exp} are both '{label}': "
                "move one of them out of --expdir"
            )
        if label:
            found[label] = Variant(label, exp)
    if TASTE not in found:
        raise ValueError(f"{taste_exp}/resynthesis not found: run stage 9 first")
    known = [found.pop(label) for label in ORDER if label in found]
    return known + [found[label] for label in sorted(found)]
