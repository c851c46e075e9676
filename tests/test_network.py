"""The gated chain of the whole network against automatic differentiation and the NumPy model."""

import numpy as np
import numpy_model
import pytest
from conftest import FORMS, relative_error, start_weights, tiny_case, wherever_it_fits

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.gates import gates_of
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.layers import Elu
from unfair_bp.backprop.network import Network, Rules
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import LayerSpec

EXACT = 1e-10
OTHER_SCHEDULES = ["single", "random:3:5:1", "9;8-9;7-9", "1,4-5,9;2"]


class GatedGradients:
    """A network whose updates store the gradient they are given, beside the automatic gradients."""

    def __init__(self, case, weights, rules=Rules()):  # noqa: B008
        layers = case.layers
        self.table = schedules.parse(case.schedule).table
        network = Network(layers, rules)
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.images = tf.placeholder(tf.float64, [None, 32, 32, 3])
            self.labels = tf.placeholder(tf.int64, [None])
            self.row = tf.placeholder(tf.int64, [])
            values = [tf.constant(w) for w in weights]
            self.stored = [
                tf.get_variable(f"dw_{i}", initializer=np.full(w.shape, np.nan), use_resource=True)
                for i, w in enumerate(weights)
            ]
            self.logits, caches = network.forward(self.images, values)
            targets = tf.one_hot(self.labels, 10, dtype=tf.float64)
            self.costs, cache = network.loss.forward(self.logits, targets)
            self.automatic = self._automatic_gradients(layers, rules, values, targets)
            self.backward = network.gated_backward(
                network.loss.input_grad(cache),
                caches,
                gates_of(self.table, self.row),
                lambda i, dw: self.stored[i].assign(dw, read_value=False),
            )
            self.reset = tf.global_variables_initializer()

    def _automatic_gradients(self, layers, rules, values, targets):
        """Those of the network with plain convolutions: TensorFlow cannot derive every form."""
        plain = Network(layers, rules._replace(convolution=lambda layer: Convolution()))
        logits, _ = plain.forward(self.images, values)
        costs, _ = plain.loss.forward(logits, targets)
        return tf.gradients(tf.reduce_mean(costs), values)

    def run_row(self, session, row, batch):
        """The stored gradients after one iteration, nan where none was stored."""
        session.run(self.reset)
        feed = {self.images: batch[0], self.labels: batch[1], self.row: row}
        session.run(self.backward, feed)
        return session.run(self.stored)


def worst_error_over_rows(gated, batch):
    """Largest relative error of any layer in any row; asserts that the others stored nothing."""
    worst = 0.0
    with tf.Session(graph=gated.graph) as session:
        feed = {gated.images: batch[0], gated.labels: batch[1]}
        automatic = session.run(gated.automatic, feed)
        for number, row in enumerate(gated.table):
            stored = gated.run_row(session, number, batch)
            for i, updated in enumerate(row):
                if updated:
                    worst = max(worst, relative_error(stored[i], automatic[i]))
                else:
                    assert np.isnan(stored[i]).all()
    return worst


# The others differ from these in augmentation alone.
@pytest.mark.parametrize("name", "ace")
def test_every_case_and_row_matches_autodiff(name, batch, record_property):
    """Breaks on a wrong factor, sign or order in the chain, or a gate on the wrong layer."""
    case = tiny_case(name)
    worst = worst_error_over_rows(GatedGradients(case, start_weights(case)), batch)
    record_property("worst_relative_error", worst)
    assert worst <= EXACT


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_convolution_matches_autodiff(form, batch):
    """Breaks if the chain hands a form of the convolution something it does not expect."""
    case = tiny_case("e")
    rules = Rules(convolution=wherever_it_fits(form))
    assert worst_error_over_rows(GatedGradients(case, start_weights(case), rules), batch) <= EXACT


@pytest.mark.parametrize("schedule", OTHER_SCHEDULES)
def test_other_schedules_match_autodiff(schedule, batch):
    """Breaks if the chain works for triangles only, as when a gap in a row stops it."""
    case = tiny_case("a", schedule=schedule)
    assert worst_error_over_rows(GatedGradients(case, start_weights(case)), batch) <= EXACT


def test_logits_and_gradients_match_the_numpy_model(batch):
    """Breaks if forward and automatic derivative are wrong together, as by a missing pool."""
    case = tiny_case("a")
    weights = start_weights(case)
    gated = GatedGradients(case, weights)
    with tf.Session(graph=gated.graph) as session:
        feed = {gated.images: batch[0], gated.labels: batch[1]}
        logits, costs = session.run((gated.logits, gated.costs), feed)
        stored = gated.run_row(session, 0, batch)
    cost, gradients = numpy_model.gradients(weights, *batch)
    assert relative_error(logits, numpy_model.forward(weights, batch[0])[0]) <= EXACT
    assert np.mean(costs) == pytest.approx(cost, rel=1e-12)
    assert max(relative_error(a, b) for a, b in zip(stored, gradients)) <= EXACT


class SlightlyWrongElu(Elu):
    """The backward rule times 1.001."""

    def input_grad(self, dy, cache):
        return 1.001 * super().input_grad(dy, cache)


def test_a_wrong_rule_is_seen(batch):
    """Breaks if the comparison would accept a backward rule that is off by a thousandth."""
    case = tiny_case("c")
    wrong = GatedGradients(case, start_weights(case), Rules(activation=SlightlyWrongElu()))
    assert worst_error_over_rows(wrong, batch) > 1e-4


def test_a_swapped_schedule_is_seen(batch):
    """Breaks if the comparison would accept the layers of another schedule's row."""
    gated = GatedGradients(tiny_case("e"), start_weights(tiny_case("e")))
    gated.table = schedules.parse("back").table
    with pytest.raises(AssertionError):
        worst_error_over_rows(gated, batch)


def test_gates_that_never_change_are_known():
    """Breaks if a gate that the schedule never closes, or never opens, becomes a tf.cond."""
    with tf.Graph().as_default() as graph:
        row = tf.placeholder(tf.int64, [])
        fair = gates_of(schedules.parse("fair").table, row)
        assert fair.updated == [True] * 9
        assert fair.any_below == [False] + [True] * 8
        assert not [op for op in graph.get_operations() if op.type != "Placeholder"]

        def known(schedule):
            gates = gates_of(schedules.parse(schedule).table, row)
            return [[g if isinstance(g, np.bool_) else None for g in gate] for gate in gates]

        assert known("back") == [[None] * 8 + [True], [False] + [None] * 8]
        assert known("front") == [[True] + [None] * 8, [False] + [True] * 8]
        assert known("9;7-9") == [
            [False] * 6 + [None, None, True],
            [False] * 7 + [None, None],
        ]


def test_a_layer_may_stand_in_a_network_twice():
    """Breaks if layers are told apart by what they are instead of where they stand."""
    layer = LayerSpec(kernel=3, inputs=4, outputs=4, stddev=0.1, size=8, pool=False)
    network = Network([layer, layer])
    with tf.Graph().as_default():
        images, weights = tf.zeros([2, 8, 8, 4]), [tf.zeros(layer.weight_shape)] * 2
        logits, caches = network.forward(images, weights)
    assert logits.shape.as_list() == [2, 4]
    assert len(caches) == 2
