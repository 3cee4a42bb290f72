"""Golden cases for parity tests: where they lie, how they load, how they compare.

Enters: a folder of golden cases (environment variable ``TASTE_GOLDEN``, default
``../shared/golden`` beside the repository), each case a folder with
``manifest.json`` and ``tensors.safetensors``. Leaves: fixtures.

- ``golden``: one case; the test names the cases it wants by patterns,
  ``@pytest.mark.golden("G1*")``, and runs once for each folder that matches.
- ``golden_case``: ``golden_case("G2_rvq")`` loads a case by name.
- ``published``: the golden weights as a folder of the published model.
- ``imported``: the experiments made from that folder.
- ``golden_check``: ``golden_check(got, want, "label")`` compares and remembers the
  largest error; ``case=other`` books it on another case's row.

At the end of the session one row is printed for every case with its largest error.
All sizes come from the files, so a folder with other seeds and sizes runs as well.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import pytest

ATOL = 2e-5
RTOL_OF_MAX = 1e-4
REPOSITORY = Path(__file__).resolve().parents[3]
ROWS: dict[str, dict] = {}


def golden_root() -> Path:
    """Folder of the golden cases; it may be absent."""
    default = REPOSITORY.parent / "shared" / "golden"
    return Path(os.environ.get("TASTE_GOLDEN", default))


def case_names() -> list[str]:
    """Names of all cases found by their manifests, e.g. ``G4b_variants/x``."""
    root = golden_root()
    found = sorted(root.rglob("manifest.json")) if root.is_dir() else []
    return [str(path.parent.relative_to(root)) for path in found]


@dataclass(frozen=True)
class GoldenCase:
    """One golden case.

    Attributes:
        name: Folder below the root.
        root: The root folder of the set.
    """

    name: str
    root: Path
    folder: Path = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "folder", self.root / self.name)

    @cached_property
    def manifest(self) -> dict:
        """The manifest as written."""
        return json.loads((self.folder / "manifest.json").read_text())

    @cached_property
    def tensors(self) -> dict:
        """All tensors of the case by name (inputs, intermediates, outputs)."""
        from safetensors.torch import load_file

        return load_file(str(self.folder / "tensors.safetensors"))

    def __getitem__(self, name: str):
        return self.tensors[name]

    def scalar(self, name: str) -> float:
        """A recorded scalar."""
        return self.manifest["scalars"][name]["value"]

    def list(self, name: str) -> list:
        """A recorded list."""
        return self.manifest["lists"][name]["value"]

    @cached_property
    def config(self) -> dict:
        """The full configuration, with this case's own entries laid over it."""
        full = json.loads((self.root / "config" / "taste_config.json").read_text())
        return full | {"case": self.manifest.get("config", {})}

    def weights(self, prefix: str, file: str = "taste_full.safetensors") -> dict:
        """State dict below ``prefix`` as float32, with this case's overrides.

        Args:
            prefix: Leading part of the reference's names, with the final dot.
            file: Which weight file of the set.

        Returns:
            Names without the prefix -> tensors.
        """
        from safetensors import safe_open

        state = {}
        with safe_open(str(self.root / "weights" / file), framework="pt") as handle:
            for key in handle.keys():
                if key.startswith(prefix):
                    tensor = handle.get_tensor(key)
                    state[key[len(prefix) :]] = _widen(tensor)
        for key, tensor in self.tensors.items():
            for full in (key.removeprefix("weight."), "audio_tower." + key[7:]):
                if key.startswith("weight.") and full.startswith(prefix):
                    state[full[len(prefix) :]] = _widen(tensor)
        return state


def _widen(tensor):
    return tensor.float() if tensor.is_floating_point() else tensor


class GoldenCheck:
    """Compares tensors and keeps the largest error of each case."""

    def __init__(self, default_case: str):
        self.default_case = default_case

    def __call__(self, got, want, label: str, case: str | None = None) -> float:
        """Integers must be equal, floats within the tolerance of the set's README.

        Args:
            got: Tensor of the code under test.
            want: Golden tensor of the same shape.
            label: Name of the tensor for the message.
            case: Row to book the error on; the test's own case by default.

        Returns:
            The largest absolute error.
        """
        name = case or self.default_case
        assert tuple(got.shape) == tuple(
            want.shape
        ), f"{name}/{label}: shape {tuple(got.shape)}, expected {tuple(want.shape)}"
        error = _largest_error(got, want)
        exact = not want.is_floating_point()
        largest = 0.0 if exact or not want.numel() else want.abs().max().item()
        limit = 0.0 if exact else ATOL + RTOL_OF_MAX * largest
        _book(name, label, error, limit)
        assert error <= limit, f"{name}/{label}: error {error:.3e} > {limit:.3e}"
        return error


def _largest_error(got, want) -> float:
    if not want.numel():
        return 0.0
    if want.is_floating_point():
        return (got.detach().float() - want).abs().max().item()
    return float((got.long() != want.long()).sum())


def _book(name: str, label: str, error: float, limit: float):
    row = ROWS.setdefault(name, {"count": 0, "error": -1.0, "share": -1.0})
    row["count"] += 1
    share = error / limit if limit else error
    if share > row["share"] or row["share"] < 0:
        row.update(label=label, error=error, share=share)


def pytest_configure(config):
    config.addinivalue_line("markers", "golden(*patterns): golden cases of a test")


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is None or "golden" not in metafunc.fixturenames:
        return
    names = [n for n in case_names() if any(fnmatch(n, p) for p in marker.args)]
    absent = pytest.mark.skip(
        reason=f"no golden cases {marker.args} below TASTE_GOLDEN"
    )
    params = names or [pytest.param("absent", marks=absent)]
    metafunc.parametrize("golden", params, indirect=True, scope="module")


@pytest.fixture(scope="module")
def golden(request) -> GoldenCase:
    """The case this run of the test is for."""
    return GoldenCase(request.param, golden_root())


@pytest.fixture(scope="module")
def golden_case():
    """Loader of a case by name; skips the test when the case is absent."""

    def load(name: str) -> GoldenCase:
        case = GoldenCase(name, golden_root())
        if not (case.folder / "manifest.json").is_file():
            pytest.skip(f"golden case {name} not found (set TASTE_GOLDEN)")
        return case

    return load


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> Path:
    """The golden weights in the form of the published model, in two shards."""
    root = golden_root()
    if not (root / "weights" / "taste_full.safetensors").is_file():
        pytest.skip("no golden weights (set TASTE_GOLDEN)")
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("published")
    state = load_file(str(root / "weights" / "taste_full.safetensors"))
    places = {}
    for index, part in enumerate((sorted(state)[::2], sorted(state)[1::2])):
        file = f"model-{index + 1:05d}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, str(folder / file))
        places |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    voice = root / "weights" / "voice_generator.safetensors"
    shutil.copyfile(voice, folder / voice.name)
    config = root / "config" / "taste_config.json"
    shutil.copyfile(config, folder / "config.json")
    return folder


def estimator_heads() -> dict:
    """The one option of the voice generator that no shape tells."""
    manifest = next(golden_root().glob("G7a*/manifest.json")).read_text()
    sizes = json.loads(manifest)["config"]["flow"]
    conf = {"heads": sizes["num_heads"], "head_size": sizes["head_dim"]}
    return {"vocoder_conf": {"flow_conf": {"estimator_conf": conf}}}


@pytest.fixture(scope="session")
def import_options():
    """Options with which the golden folder is imported."""
    from espnet2_taste.reference.importing import ImportOptions

    config = golden_root() / "config"
    heads = estimator_heads()
    return ImportOptions(config / "whisper", config / "llama", True, heads)


@pytest.fixture(scope="session")
def imported(published, import_options, tmp_path_factory) -> Path:
    """Directory of the experiments imported from ``published``."""
    from espnet2_taste.reference.importing import import_folder

    root = tmp_path_factory.mktemp("exp")
    import_folder(published, root, import_options)
    return root


@pytest.fixture
def golden_check(request) -> GoldenCheck:
    """Comparison bound to the case of the running test."""
    callspec = getattr(request.node, "callspec", None)
    params = callspec.params if callspec else {}
    return GoldenCheck(params.get("golden", request.node.name))


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    terminalreporter.section("golden cases: largest error (share of the tolerance)")
    width = max(len(name) for name in ROWS)
    for name, row in sorted(ROWS.items()):
        terminalreporter.line(
            f"{name:{width}s} {row['count']:4d} tensors  {row['error']:.2e} "
            f"({row['share']:.3f})  {row['label']}"
        )
