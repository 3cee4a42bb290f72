"""The measures of audio that a command or a YAML file names.

A new one is a class here and a row in this folder's test. Other packages add theirs at
import: ``audio_metric_choices.classes["mine"] = MyMetric``.
"""

from collections.abc import Iterable, Mapping

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.evaluation.audio_metrics.abs_metric import AbsAudioMetric
from espnet2_taste.evaluation.audio_metrics.opinion import Dnsmos, Utmos
from espnet2_taste.evaluation.audio_metrics.signal import Pesq, Stoi, Visqol
from espnet2_taste.evaluation.audio_metrics.speaker import (
    CampplusSimilarity,
    ResemblyzerSimilarity,
    SpeakerSimilarity,
)
from espnet2_taste.evaluation.audio_metrics.versa import Versa

audio_metric_choices = ClassChoices(
    name="metric",
    classes={
        "speaker": SpeakerSimilarity,
        "campplus": CampplusSimilarity,
        "resemblyzer": ResemblyzerSimilarity,
        "utmos": Utmos,
        "dnsmos": Dnsmos,
        "visqol": Visqol,
        "pesq": Pesq,
        "stoi": Stoi,
        "versa": Versa,
    },
    type_check=AbsAudioMetric,
)


def build_metrics(
    names: Iterable[str], options: Mapping[str, Mapping]
) -> tuple[dict[str, AbsAudioMetric], dict[str, str]]:
    """Build the measures that can be built.

    Args:
        names: Which, in the order of tables.
        options: Arguments of their constructors, by name.

    Returns:
        Measures by name, and the reasons of those that cannot be built.

    Raises:
        ValueError: There is no such measure, or it has no such option.
    """
    names = list(names)
    for name in [*names, *options]:
        if name not in audio_metric_choices.classes:
            known = " ".join(audio_metric_choices.classes)
            raise ValueError(f"no measure '{name}', expected some of: {known}")
    built, left_out = {}, {}
    for name in names:
        given = options.get(name, {})
        try:
            built[name] = audio_metric_choices.get_class(name)(**given)
        except TypeError as error:
            raise ValueError(f"--metric_conf {name}: {error}") from error
        except (RuntimeError, ValueError) as error:
            left_out[name] = str(error)
    return built, left_out
