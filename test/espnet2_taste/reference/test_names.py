"""Names of weights here and in the published layout."""

import pytest
import torch

from espnet2_taste.reference.names import taste_to_published


def test_heads_that_only_train_are_not_published():
    heads = ("speaker_head.linear.weight", "duration_head.token_bias.weight")
    assert taste_to_published({name: torch.zeros(1) for name in heads}) == {}


def test_a_weight_without_a_place_is_named():
    with pytest.raises(ValueError, match="'other_head.weight' has no name"):
        taste_to_published({"other_head.weight": torch.zeros(1)})
