"""ONNX files: shapes that agree, files of no use, packages that are absent."""

import sys

import numpy as np
import pytest

from espnet2_taste.units.onnx_graph import OnnxGraph, shapes_agree


def open_graph(path, **options):
    inputs = [(1, 128, None), (1,)]
    return OnnxGraph(path, inputs, feature="units", option="onnx_file", **options)


@pytest.mark.parametrize(
    "given, expected, agree",
    [
        ([1, 128, "T"], (1, 128, None), True),
        (["B", None, 300], (1, 128, None), True),
        ([1, 80, "T"], (1, 128, None), False),
        ([1, 128], (1, 128, None), False),
        ([], (), True),
    ],
)
def test_shapes_agree(given, expected, agree):
    assert shapes_agree(given, expected) is agree


def test_arrays_take_the_types_of_the_graph(s3_file):
    mel = np.random.default_rng(0).normal(size=(1, 128, 7))  # float64
    units = open_graph(s3_file)(mel, np.array([5]))
    assert units.tolist() == [mel[0, :, [0, 2, 4]].argmax(-1).tolist()]


def test_files_that_cannot_be_used(s3_file, tmp_path):
    with pytest.raises(ValueError, match="absent.onnx not found; name the ONNX file"):
        open_graph(str(tmp_path / "absent.onnx"))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"cannot load .*broken.onnx"):
        open_graph(str(broken))
    with pytest.raises(ValueError, match="NoSuchProvider is not among"):
        open_graph(s3_file, provider="NoSuchProvider")


def test_onnxruntime_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeError, match=r"espnet2_taste\[onnx\]"):
        open_graph("any.onnx")
