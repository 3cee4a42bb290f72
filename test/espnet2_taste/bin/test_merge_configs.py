"""Merged configurations: tables, parts chosen anew, the command."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.bin.merge_configs import main, merged

NAMES = st.sampled_from(["a", "b", "c"])
TABLES = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(NAMES, inner), max_leaves=6
)


@given(st.dictionaries(NAMES, TABLES), st.dictionaries(NAMES, TABLES))
def test_changes_win_and_the_rest_stays(base, changes):
    result = merged(base, changes)
    assert set(result) == set(base) | set(changes)
    assert merged(result, changes) == result and merged(base, {}) == base
    for name in set(base) - set(changes):
        assert result[name] == base[name]


def test_a_part_chosen_anew_forgets_its_options():
    base = {"quantizer": "rvq", "quantizer_conf": {"size": 1, "old": 2}}
    assert merged(base, {"quantizer": "fsq"}) == {"quantizer": "fsq"}
    same = merged(base, {"quantizer": "rvq", "quantizer_conf": {"size": 3}})
    assert same["quantizer_conf"] == {"size": 3, "old": 2}


def test_command(tmp_path, capsys):
    base, changes = tmp_path / "train_a.yaml", tmp_path / "other.yaml"
    base.write_text("b: 1\na: {x: 1, y: [1, 2]}\n")
    changes.write_text("a: {x: 2}\n")
    out = tmp_path / "out"
    main(["--changes", str(changes), "--output_dir", str(out), str(base)])
    path = capsys.readouterr().out.strip()
    assert path == str(out / "train_a_other.yaml")
    content = yaml.safe_load((out / "train_a_other.yaml").read_text())
    assert content == {"b": 1, "a": {"x": 2, "y": [1, 2]}}
    changes.write_text("")
    with pytest.raises(SystemExit, match="other.yaml holds no options"):
        main(["--changes", str(changes), "--output_dir", str(out), str(base)])
