"""The parts of the spoken language model that a YAML file names.

Each ``x_choices`` gives ``--x`` and ``--x_conf``. Other packages add their own class
at import: ``head_choices.classes["mine"] = MyHead``.
"""

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.slm.backbone import (
    AbsBackbone,
    FrozenBackbone,
    FullBackbone,
    LoraBackbone,
)
from espnet2_taste.slm.heads import (
    AbsTasteHead,
    ContinueLatentLinearLastHead,
    LinearLastHead,
    MultiLinearLastHead,
    WeightedLayerHead,
)
from espnet2_taste.slm.input_fusion import (
    AbsCodeEmbedding,
    AbsInputFusion,
    ArrivalEmbedding,
    FillForwardEmbedding,
    FirstCodebookEmbedding,
    ReferenceMixFusion,
    SimpleSumFusion,
    WeightedSumFusion,
)
from espnet2_taste.slm.layouts.text_aligned import (
    AbsTextAlignedLayout,
    TokenDelayLayout,
    WordDelayLayout,
)

adaptation_choices = ClassChoices(
    "adaptation",
    classes={"lora": LoraBackbone, "full": FullBackbone, "frozen": FrozenBackbone},
    type_check=AbsBackbone,
    default="lora",
)
layout_choices = ClassChoices(
    "layout",
    classes={
        "text_aligned": WordDelayLayout,
        "text_aligned_token_delay": TokenDelayLayout,
    },
    type_check=AbsTextAlignedLayout,
    default="text_aligned",
)
code_embedding_choices = ClassChoices(
    "code_embedding",
    classes={
        "fill_forward": FillForwardEmbedding,
        "arrival": ArrivalEmbedding,
        "first_codebook": FirstCodebookEmbedding,
    },
    type_check=AbsCodeEmbedding,
    default="fill_forward",
)
input_fusion_choices = ClassChoices(
    "input_fusion",
    classes={
        "weighted_sum": WeightedSumFusion,
        "simple_sum": SimpleSumFusion,
        "reference_mix": ReferenceMixFusion,
    },
    type_check=AbsInputFusion,
    default="weighted_sum",
)
head_choices = ClassChoices(
    "head",
    classes={
        "continue_latent_linear_last": ContinueLatentLinearLastHead,
        "linear_last": LinearLastHead,
        "weighted_layer": WeightedLayerHead,
        "multi_linear_last": MultiLinearLastHead,
    },
    type_check=AbsTasteHead,
    default="continue_latent_linear_last",
)
