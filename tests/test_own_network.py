"""A network and a data set of one's own, from Python: trained, drawn, reported and resumed."""

from dataclasses import replace

import numpy as np
import pytest
import reports

from unfair_bp import Architecture, Case, Dataset, Layer, build_graph, train
from unfair_bp.data.batches import training_batches
from unfair_bp.errors import UsageError
from unfair_bp.reporting import pictures
from unfair_bp.running.directory import RunDirectory

FIVE_LAYERS = Architecture(
    image_size=28,
    image_channels=1,
    layers=(
        Layer(kernel=3, outputs=6, stddev=0.3),
        Layer(kernel=3, outputs=6, stddev=0.2, pool=True),
        Layer(kernel=5, outputs=4, stddev=0.1),
        Layer(kernel=3, outputs=4, stddev=0.2, pool=True),
        Layer(kernel=1, outputs=3, stddev=0.5),
    ),
)


def bars(count, seed):
    """Grey images with a bar in the left, the middle or the right third: three classes."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 3, count)
    images = random.randint(0, 60, [count, 28, 28, 1]).astype(np.uint8)
    for image, label in zip(images, labels):
        image[:, 9 * label : 9 * label + 9] += np.uint8(60 + 60 * label)
    return images, labels


@pytest.fixture(scope="module")
def data():
    images, labels = bars(120, seed=0)
    test_images, test_labels = bars(45, seed=1)
    return Dataset("bars", ("left", "middle", "right"), images, labels, test_images, test_labels)


@pytest.fixture
def case():
    return Case(
        schedule="back",
        data="own",
        architecture=FIVE_LAYERS,
        epochs=2,
        learning_rate=np.float64(1e-2),
        seed=np.int64(3),
        threads=1,
    )


def test_a_network_of_ones_own(case, data, tmp_path):
    """Breaks if some part of the package still knows of nine layers, 32 pixels or ten classes."""
    whole = train(case, data, tmp_path / "whole", report=lambda line: None)
    assert [row.epoch for row in whole] == [1, 2]
    assert whole[-1].updates == (4, 9, 14, 19, 24)  # 24 iterations, a cycle of five
    assert whole[-1].train_cost < whole[0].train_cost

    paths = pictures.draw(str(tmp_path / "whole"))
    assert set(paths) == {"curves", "updates", "layers", "weights", "images"}
    report = reports.markdown(tmp_path)
    assert "bars" in report and "back" in report

    # Stopped after an epoch and resumed, it ends with the same bits.
    train(replace(case, epochs=1), data, tmp_path / "parts", report=lambda line: None)
    parts = train(case, data, tmp_path / "parts", resume=True, report=lambda line: None)
    weights = [
        RunDirectory(str(tmp_path / name)).read_arrays("weights_after.npz")
        for name in ("whole", "parts")
    ]
    assert [row._replace(seconds=0.0) for row in parts] == [
        row._replace(seconds=0.0) for row in whole
    ]
    assert len(weights[0]) == len(weights[1]) == 5
    for one, other in zip(weights[0].values(), weights[1].values()):
        assert one.tobytes() == other.tobytes()


def test_its_graph(case, data):
    """Breaks if the graph's shapes are those of another network."""
    graph = build_graph(case)
    assert graph.images.shape.as_list() == [None, 28, 28, 1]
    assert graph.outputs.logits.shape.as_list() == [None, 3]
    assert len(graph.weights) == 5
    batch = next(training_batches(data.train_images, data.train_labels, case, epoch=0))
    assert batch.images.shape == (10, 28, 28, 1)


def test_pools_that_do_not_fit_are_refused():
    """Breaks if a network whose images cannot be halved is built."""
    with pytest.raises(UsageError, match="cannot halve"):
        Architecture(image_size=30, image_channels=1, layers=FIVE_LAYERS.layers)
