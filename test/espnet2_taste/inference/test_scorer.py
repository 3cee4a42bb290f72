"""Batches that are scored; scores themselves are tested with their networks."""

import numpy as np
import torch

from espnet2_taste.inference.scorer import padded


def test_batches_of_scoring_are_those_of_training():
    from espnet2.train.collate_fn import CommonCollateFn

    rng = np.random.default_rng(0)
    items = [
        {
            "grid": rng.integers(0, 9, (rows, 2)),
            "weights": rng.random((rows, 2), dtype=np.float32),
            "tail": rng.integers(0, 9, units),
        }
        for rows, units in ((3, 0), (5, 4))
    ]
    collate = CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)
    _, expected = collate([(str(row), dict(item)) for row, item in enumerate(items)])
    found = padded(items)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
