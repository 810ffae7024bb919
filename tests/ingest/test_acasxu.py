"""The example of a third party's reader."""

import importlib.util
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch

from sane_core.architectures.registry import architecture_named
from sane_core.zoo.readers import registry

ROOT = Path(__file__).parents[2]
NETWORKS = ROOT.parent / "shared/data/acasxu/nnet"

needs_networks = pytest.mark.skipif(not NETWORKS.is_dir(), reason=f"no networks in {NETWORKS}")

SMALL = """// A comment
2,2,1,3,
2,3,1,
0,
0.0,0.0,
1.0,1.0,
0.0,0.0,0.0,
1.0,1.0,1.0,
1.0,2.0,
3.0,4.0,
5.0,6.0,
0.1,
0.2,
0.3,
7.0,8.0,9.0,
0.5,
"""


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples/acasxu/acasxu_reader.py"
    spec = importlib.util.spec_from_file_location("acasxu_reader", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_text_network_is_read_row_by_row(example, take, tmp_path):
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "ACASXU_run2a_2_7_batch_2000.nnet").write_text(SMALL)
    result = take(tmp_path / "z", reader=example.AcasXu())
    assert result.entry(0, 0, "module_list.1.weight").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert result.entry(0, 0, "module_list.3.weight").tolist() == [[7, 8, 9]]
    assert result.rows[0]["hyperparameters"] == {"advisory": 2, "time_to_loss": 7}


@pytest.mark.parametrize(
    "text, reason",
    [
        (SMALL[:-30], "cut off|must have|must hold"),
        ("x", "must start with its sizes"),
        (SMALL.replace("2,3,1,", "2,999999999,1,"), "must give 1 to 4096 units"),
        (SMALL.replace("7.0,", "seven,"), "must hold numbers"),
    ],
)
def test_a_damaged_text_network_is_refused_with_the_reason(example, tmp_path, text, reason):
    path = tmp_path / "a.nnet"
    path.write_text(text)
    found = next(example.AcasXu().scan(str(tmp_path), None))
    with pytest.raises(Exception, match=reason) as caught:
        example.AcasXu().read(found)
    assert type(caught.value).__name__ == "Refused"


@needs_networks
def test_the_45_networks_are_one_zoo(example, take):
    result = take(NETWORKS, reader=example.AcasXu())
    assert result.metrics["zoo.runs"] == 45
    assert result.quarantine == []
    assert {row["licence"] for row in result.rows} == {"cc-by-4.0"}
    grid = {tuple(row["hyperparameters"].values()) for row in result.rows}
    assert grid == {(a, t) for a in range(1, 6) for t in range(1, 10)}
    architecture = architecture_named(result.rows[0]["architecture"])
    assert architecture.parameter_count() == 13_305


@needs_networks
def test_the_architecture_computes_what_the_file_describes(example):
    found = next(example.AcasXu().scan(str(NETWORKS), None))
    tensors = example.AcasXu().read(found).tensors
    network = architecture_named(
        "mlp[channels=5,size=1,classes=5,hidden=50x50x50x50x50x50]"
    ).build()
    network.load_state_dict({name: torch.tensor(values) for name, values in tensors.items()})
    inputs = x = np.array([[0.1, -0.2, 0.3, -0.4, 0.5]], np.float32)
    for layer in range(7):
        name = f"module_list.{2 * layer + 1}"
        x = x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
        x = np.maximum(x, 0) if layer < 6 else x
    with torch.no_grad():
        outputs = network(torch.tensor(inputs).reshape(1, 5, 1, 1)).numpy()
    assert np.allclose(outputs, x, atol=1e-5)


def test_a_reader_of_another_package_is_found_by_its_entry_point(example, monkeypatch, tmp_path):
    entry = EntryPoint("acasxu", "acasxu_reader:AcasXu", registry.GROUP)
    monkeypatch.setitem(__import__("sys").modules, "acasxu_reader", example)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    (tmp_path / "a.nnet").write_text(SMALL)
    assert registry.reader_of(str(tmp_path)).name == "acasxu"
    assert registry.reader_named("acasxu") == example.AcasXu()
    assert "acasxu" in registry.reader_names()
