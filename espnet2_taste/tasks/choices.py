"""The parts of TASTE that a YAML file names.

Each ``x_choices`` gives ``--x`` and ``--x_conf``. Other packages add their own class
at import: ``quantizer_choices.classes["mine"] = MyQuantizer``.
"""

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.speech_decoder.abs_unit_decoder import AbsUnitDecoder
from espnet2_taste.speech_decoder.aligned_unit_decoder import AlignedUnitDecoder
from espnet2_taste.speech_decoder.fusion import (
    AbsFusion,
    ConcatFusion,
    SumFusion,
    WeightedSumFusion,
)
from espnet2_taste.speech_decoder.small_unit_decoder import SmallUnitDecoder
from espnet2_taste.speech_decoder.text_input import (
    AbsTextInput,
    LetterInput,
    PhoneInput,
    TokenInput,
)
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.speech_decoder.unit_history import (
    AbsUnitHistory,
    CausalHistory,
    OnePass,
)
from espnet2_taste.tasks.parts import ChoicesWithNone
from espnet2_taste.tokenizer.aggregator import (
    AbsAggregator,
    EspnetAggregator,
    WhisperAggregator,
)
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder
from espnet2_taste.tokenizer.encoders.espnet_asr import EspnetAsrEncoder
from espnet2_taste.tokenizer.encoders.frontend import FrontendEncoder
from espnet2_taste.tokenizer.encoders.ssl import SslEncoder
from espnet2_taste.tokenizer.encoders.whisper import PretrainedWhisperEncoder
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer
from espnet2_taste.tokenizer.quantizers.continuous import ContinuousQuantizer
from espnet2_taste.tokenizer.quantizers.fsq import FiniteScalarQuantizer
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer
from espnet2_taste.tokenizer.states_sources import (
    AbsStatesSource,
    LastLayerStates,
    MixedStates,
    NormedSumStates,
    ProsodyStates,
    SeparateStates,
    SummedStates,
)
from espnet2_taste.tokenizer.word_timer import AbsWordTimer, LetterTimer

speech_encoder_choices = ClassChoices(
    "speech_encoder",
    classes={
        "espnet_asr": EspnetAsrEncoder,
        "whisper": PretrainedWhisperEncoder,
        "ssl": SslEncoder,
        "frontend": FrontendEncoder,
    },
    type_check=AbsSpeechEncoder,
    default="espnet_asr",
)
states_source_choices = ClassChoices(
    "states_source",
    classes={
        "separate": SeparateStates,
        "prosody": ProsodyStates,
        "mix": MixedStates,
        "last": LastLayerStates,
        "sum": SummedStates,
        "normed_sum": NormedSumStates,
    },
    type_check=AbsStatesSource,
    default="separate",
)
word_timer_choices = ClassChoices(
    "word_timer",
    classes={"letters": LetterTimer},
    type_check=AbsWordTimer,
    default=None,
    optional=True,
)
aggregator_choices = ClassChoices(
    "aggregator",
    classes={"espnet": EspnetAggregator, "whisper": WhisperAggregator},
    type_check=AbsAggregator,
    default="espnet",
)
quantizer_choices = ChoicesWithNone(
    name="quantizer",
    none="continuous",
    classes={
        "rvq": ResidualQuantizer,
        "fsq": FiniteScalarQuantizer,
        "continuous": ContinuousQuantizer,
    },
    type_check=AbsQuantizer,
    default="rvq",
)
fusion_choices = ClassChoices(
    "fusion",
    classes={
        "weighted_sum": WeightedSumFusion,
        "sum": SumFusion,
        "concat": ConcatFusion,
    },
    type_check=AbsFusion,
    default="weighted_sum",
)
unit_decoder_choices = ClassChoices(
    "unit_decoder",
    classes={
        "taste": UnitDecoder,
        "small": SmallUnitDecoder,
        "aligned": AlignedUnitDecoder,
    },
    type_check=AbsUnitDecoder,
    default="taste",
)
text_input_choices = ClassChoices(
    "text_input",
    classes={"letters": LetterInput, "phones": PhoneInput, "tokens": TokenInput},
    type_check=AbsTextInput,
    default="letters",
)
unit_history_choices = ClassChoices(
    "unit_history",
    classes={"causal": CausalHistory, "one_pass": OnePass},
    type_check=AbsUnitHistory,
    default="causal",
)
