"""Optimizers in whole iterations; Adam has its tests in test_graph.py and test_quirks.py."""

import numpy as np
import pytest
from conftest import relative_error, start_weights, tiny_case
from numpy_model import NumpySgdTrainer
from test_graph import started_session

from unfair_bp.backprop import graph as graph_module
from unfair_bp.backprop import optimizers
from unfair_bp.backprop.graph import build_graph, optimizer_of
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import FieldError
from unfair_bp.experiment import cases, schedules


@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.8, True)])
@pytest.mark.parametrize("schedule", ["fair", "back"])
def test_sgd_matches_the_numpy_model(schedule, momentum, nesterov, batch):
    """Breaks on a wrong sign, rate or momentum, or if a skipped layer forgets or moves."""
    settings = {"learning_rate": 0.05, "momentum": momentum, "nesterov": nesterov}
    case = tiny_case("a", schedule=schedule, optimizer="sgd", **settings)
    graph = build_graph(case, dtype=tf.float64)
    weights = start_weights(case)
    table = schedules.parse(schedule).table
    model = NumpySgdTrainer(weights, table, **settings)
    random = np.random.RandomState(8)
    with started_session(graph, weights) as session:
        for iteration in range(len(table) + 3):
            images, labels = random.permutation(batch[0]), random.permutation(batch[1])
            before = session.run(graph.layers)
            session.run(graph.train, {graph.images: images, graph.labels: labels})
            after = session.run(graph.layers)
            model.step(images, labels)
            assert [layer.count for layer in after] == model.counts
            for i, updated in enumerate(table[iteration % len(table)]):
                if updated:
                    assert relative_error(after[i].w, model.weights[i]) <= 1e-10
                    assert relative_error(after[i].a, model.accumulated[i]) <= 1e-8
                else:
                    assert after[i].w.tobytes() == before[i].w.tobytes()
                    assert after[i].a.tobytes() == before[i].a.tobytes()


def test_a_case_names_its_optimizer():
    """Breaks if an option of the optimizer is left out on the way from the case."""
    adam = optimizer_of(tiny_case("a", learning_rate=0.1, beta1=0.2, beta2=0.3, epsilon=0.4))
    assert type(adam) is optimizers.Adam
    assert vars(adam) == {"learning_rate": 0.1, "beta1": 0.2, "beta2": 0.3, "epsilon": 0.4}
    sgd = optimizer_of(
        tiny_case("a", optimizer="sgd", learning_rate=0.1, momentum=0.2, nesterov=True)
    )
    assert type(sgd) is optimizers.Sgd
    assert vars(sgd) == {"learning_rate": 0.1, "momentum": 0.2, "nesterov": True}


def test_every_name_stands_for_something():
    """Breaks if a name that a case accepts runs something else, or nothing."""
    assert tuple(graph_module.OPTIMIZERS) == cases.OPTIMIZERS
    assert tuple(graph_module.INITIAL_WEIGHTS) == cases.INITIAL_WEIGHTS


def test_what_does_not_go_together_is_refused():
    """Breaks if a deviation of Adam is silently left out with another optimizer."""
    with pytest.raises(FieldError, match="quirks adam-constant is a deviation of Adam"):
        tiny_case("a", optimizer="sgd", quirks=("adam-constant",))
    with pytest.raises(FieldError, match="optimizer 'rmsprop' is not known; give adam or sgd"):
        tiny_case("a", optimizer="rmsprop")
    with pytest.raises(FieldError, match="momentum 1 is out of range"):
        tiny_case("a", momentum=1.0)
