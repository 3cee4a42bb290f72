"""The parts of a grid language model that a YAML file names.

Each ``x_choices`` gives ``--x`` and ``--x_conf``. A new design is a layout in
``layout_choices`` and a YAML; other packages add their own at import:
``layout_choices.classes["mine"] = MyLayout``.
"""

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.slm.grid_embedding import (
    AbsStreamFusion,
    MeanStreams,
    SumStreams,
    WeightedStreams,
)
from espnet2_taste.slm.grid_heads import AbsGridHead, DepthGridHead, LinearGridHead
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.expressive import ExpressiveLayout
from espnet2_taste.slm.layouts.frame_aligned import FrameAlignedLayout
from espnet2_taste.slm.layouts.interleave import InterleaveLayout
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout, TextLayout
from espnet2_taste.slm.layouts.unit import UnitLayout
from espnet2_taste.slm.layouts.word_codes import WordCodesLayout
from espnet2_taste.slm.tail_heads import AbsTailHead, CtcTail, NoTail

layout_choices = ClassChoices(
    "layout",
    classes={
        "unit": UnitLayout,
        "parallel": ParallelLayout,
        "frame_aligned": FrameAlignedLayout,
        "interleave": InterleaveLayout,
        "expressive": ExpressiveLayout,
        "text": TextLayout,
        "text_ctc": TextCtcLayout,
        "word_codes": WordCodesLayout,
    },
    type_check=AbsLayout,
    default="parallel",
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
