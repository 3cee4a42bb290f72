"""Tiny ONNX graphs of ``test/support/tiny_graphs.py`` as fixtures."""

import pytest
import tiny_graphs


@pytest.fixture(scope="session")
def graph_folder(tmp_path_factory):
    """Where graphs go; tests that ask for it need onnx and onnxruntime."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    return tmp_path_factory.mktemp("onnx")


@pytest.fixture(scope="session")
def save_graph(graph_folder):
    """Write nodes as an ONNX file of a name; return its path."""
    return lambda name, *parts: tiny_graphs.save_graph(
        graph_folder / f"{name}.onnx", *parts
    )


@pytest.fixture(scope="session")
def s3_file(graph_folder):
    return tiny_graphs.save_s3(graph_folder / "s3.onnx")


@pytest.fixture(scope="session")
def projection():
    return tiny_graphs.campplus_projection()


@pytest.fixture(scope="session")
def campplus_file(graph_folder):
    return tiny_graphs.save_campplus(graph_folder / "campplus.onnx")
