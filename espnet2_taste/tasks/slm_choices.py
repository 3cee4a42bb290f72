"""The parts of a spoken language model that a YAML file names.

Each ``x_choices`` gives ``--x`` and ``--x_conf``. The layout decides which others are
read. A new design is a layout in ``layout_choices`` and a YAML; other packages add
their own at import: ``layout_choices.classes["mine"] = MyLayout``.
"""

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.slm.backbone import (
    AbsBackbone,
    FrozenBackbone,
    FullBackbone,
    LoraBackbone,
)
from espnet2_taste.slm.grid_heads import AbsGridHead, DepthGridHead, LinearGridHead
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
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.expressive import ExpressiveLayout
from espnet2_taste.slm.layouts.frame_aligned import FrameAlignedLayout
from espnet2_taste.slm.layouts.interleave import InterleaveLayout
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.text_aligned import (
    TokenDelayLayout,
    WordDelayLayout,
)
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout, TextLayout
from espnet2_taste.slm.layouts.unit import UnitLayout
from espnet2_taste.slm.row_embedding import (
    AbsStreamFusion,
    MeanStreams,
    SumStreams,
    WeightedStreams,
)
from espnet2_taste.slm.tail_heads import AbsTailHead, CtcTail, NoTail

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
        "unit": UnitLayout,
        "parallel": ParallelLayout,
        "frame_aligned": FrameAlignedLayout,
        "interleave": InterleaveLayout,
        "expressive": ExpressiveLayout,
        "text": TextLayout,
        "text_ctc": TextCtcLayout,
    },
    type_check=AbsLayout,
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
stream_fusion_choices = ClassChoices(
    "stream_fusion",
    classes={"sum": SumStreams, "mean": MeanStreams, "weighted": WeightedStreams},
    type_check=AbsStreamFusion,
    default="sum",
)
grid_head_choices = ClassChoices(
    "grid_head",
    classes={"linear": LinearGridHead, "depth": DepthGridHead},
    type_check=AbsGridHead,
    default="linear",
)
tail_head_choices = ClassChoices(
    "tail_head",
    classes={"no_tail": NoTail, "ctc": CtcTail},
    type_check=AbsTailHead,
    default="no_tail",
)
