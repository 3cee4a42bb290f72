"""Tiny ONNX graphs with the inputs of the published S3 and CAM++ files."""

from pathlib import Path

import numpy as np

MELS, BANDS, SIZE = 128, 80, 192


def save_graph(path: Path, nodes, inputs, outputs, constants) -> str:
    """Write nodes as an ONNX file; return its path."""
    import onnx

    describe = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, *ends, **more) for kind, ends, more in nodes],
        path.stem,
        [describe(*each) for each in inputs],
        [describe(*each) for each in outputs],
        [onnx.numpy_helper.from_array(v, name=k) for k, v in constants.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return str(path)


def save_s3(path: Path) -> str:
    """Loudest bin of every second frame, up to the frame count that is given."""
    from onnx import TensorProto

    nodes = [
        ("Cast", (["feats_length"], ["end"]), {"to": TensorProto.INT64}),
        ("Slice", (["feats", "zero", "end", "axis", "step"], ["half"]), {}),
        ("ArgMax", (["half"], ["indices"]), {"axis": 1, "keepdims": 0}),
    ]
    inputs = [
        ("feats", TensorProto.FLOAT, [1, MELS, "T"]),
        ("feats_length", TensorProto.INT32, [1]),
    ]
    outputs = [("indices", TensorProto.INT64, [1, "U"])]
    constants = {"zero": np.array([0]), "axis": np.array([2]), "step": np.array([2])}
    return save_graph(path, nodes, inputs, outputs, constants)


def campplus_projection() -> np.ndarray:
    """What :func:`save_campplus` multiplies with, (BANDS, SIZE)."""
    return np.random.default_rng(0).normal(size=(BANDS, SIZE)).astype(np.float32)


def save_campplus(path: Path) -> str:
    """Projection of the variance of each band over time."""
    from onnx import TensorProto

    nodes = [
        ("Mul", (["feats", "feats"], ["square"]), {}),
        ("ReduceMean", (["square"], ["mean"]), {"axes": [1], "keepdims": 0}),
        ("MatMul", (["mean", "projection"], ["spembs"]), {}),
    ]
    inputs = [("feats", TensorProto.FLOAT, ["B", "F", BANDS])]
    outputs = [("spembs", TensorProto.FLOAT, ["B", SIZE])]
    constants = {"projection": campplus_projection()}
    return save_graph(path, nodes, inputs, outputs, constants)
