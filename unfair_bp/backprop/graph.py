"""From a case to a TensorFlow graph: one iteration of training, and the forward pass alone."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.backprop.fast.choice import chosen_form
from unfair_bp.backprop.gates import Turn, is_closed, turn_at, turn_of_round, when
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.network import Network, Rules
from unfair_bp.backprop.optimizers import Adam, Optimizer, Sgd
from unfair_bp.backprop.scripts import ScriptsAdam, initial_weights_2018, rules_with
from unfair_bp.experiment.architecture import LayerSpec, initial_weights
from unfair_bp.experiment.cases import Case, schedule_of_run
from unfair_bp.experiment.matrix import Schedule


class Outputs(NamedTuple):
    """What a forward pass says of a batch."""

    logits: tf.Tensor  # [N, classes]
    predictions: tf.Tensor  # int64 [N], the class with the largest logit
    costs: tf.Tensor  # [N], cross entropy of each image


class Graph(NamedTuple):
    """Tensors and operations of a case; run them in a session on ``graph``.

    ``outputs`` are those of an iteration: fetched beside ``train``, they come from the forward pass
    before its updates. ``evaluation`` is the forward pass through the weights as they are stored:
    the same tensors, unless an iteration moves the weights first.
    """

    graph: tf.Graph
    images: tf.Tensor  # placeholder, [N, H, W, C], values 0..1
    labels: tf.Tensor  # placeholder, int64 [N], 0 to classes - 1
    outputs: Outputs
    evaluation: Outputs
    train: tf.Operation  # one iteration
    step: tf.Variable  # int64, iterations so far
    layers: Tuple[Any, ...]  # states of the optimizer: variables
    starts: Tuple[tf.Tensor, ...]  # placeholders of the initial weights
    initializer: tf.Operation

    @property
    def weights(self) -> Tuple[tf.Variable, ...]:
        """The weights of each layer."""
        return tuple(layer.w for layer in self.layers)

    def start(self, weights: Sequence[np.ndarray]) -> Dict[tf.Tensor, np.ndarray]:
        """What to feed to ``initializer`` so that training starts from these weights."""
        return dict(zip(self.starts, weights))


class _Model(NamedTuple):
    """What both protocols build an iteration from."""

    network: Network
    optimizer: Optimizer
    schedule: Schedule
    layers: List[Any]  # states of the optimizer: variables
    images: tf.Tensor
    targets: tf.Tensor


def optimizer_of(case: Case) -> Optimizer:
    """The optimizer of a case, with the deviations that its quirks ask for."""
    return OPTIMIZERS[case.optimizer](case)


def _adam(case: Case) -> Adam:
    settings = {
        "learning_rate": case.learning_rate,
        "beta1": case.beta1,
        "beta2": case.beta2,
        "epsilon": case.epsilon,
    }
    constant, first = "adam-constant" in case.quirks, "update-first" in case.quirks
    if constant or first:
        return ScriptsAdam(constant=constant, moves_first=first, **settings)
    return Adam(**settings)


def _sgd(case: Case) -> Sgd:
    return Sgd(case.learning_rate, case.momentum, case.nesterov)


def starting_weights(case: Case) -> Sequence[np.ndarray]:
    """The weights that a case starts from, one array ``[k, k, inputs, outputs]`` for each layer."""
    return INITIAL_WEIGHTS[case.initial_weights](case)


# Every name that a case may give.
OPTIMIZERS = {"adam": _adam, "sgd": _sgd}
INITIAL_WEIGHTS = {
    "numpy": lambda case: initial_weights(case.layers, case.seed),
    "2018": lambda case: initial_weights_2018(case.layers),
}

# The last update of each layer in the rounds so far: a list of one, or of none.
Latest = List[List[tf.Operation]]


def build_graph(
    case: Case,
    rules: Optional[Rules] = None,
    dtype: tf.DType = tf.float32,
    iterations: Optional[int] = None,
) -> Graph:
    """Build the static graph of a case.

    Args:
        case: What to run.
        rules: What the layers are made of; by default the case's own, each convolution in the form
            of :mod:`unfair_bp.backprop.fast` that is the fastest here.
        dtype: float32, or float64 to check the mathematics.
        iterations: Length of the whole run, for a schedule that spans it; by default that of the
            case.

    Raises:
        FieldError: If the schedule spans the run, whose length neither says.
    """
    schedule = schedule_of_run(case, iterations)
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(dtype, [None, *case.architecture.image_shape], "images")
        labels = tf.placeholder(tf.int64, [None], "labels")
        step = tf.get_variable(
            "step", [], tf.int64, tf.zeros_initializer(), trainable=False, use_resource=True
        )
        optimizer = optimizer_of(case)
        starts, layers = _variables(optimizer, case.layers, dtype)
        network = Network(case.layers, rules or rules_with(case.quirks, chosen_form))
        targets = tf.one_hot(labels, case.classes, dtype=dtype, name="targets")
        model = _Model(network, optimizer, schedule, layers, images, targets)
        if case.protocol == "per-batch":
            logits, updates = _whole_cycle(model)
        else:
            logits, updates = _one_row(model, step)
        with tf.control_dependencies([updates]):
            train = step.assign_add(1, read_value=False, name="count_iteration")
        with tf.name_scope("report"):
            outputs = evaluation = _outputs(network, logits, targets)
        if optimizer.moves_first:
            with tf.name_scope("evaluation"):
                stored = [layer.w.read_value() for layer in layers]
                evaluation = _outputs(network, network.forward(images, stored)[0], targets)

        return Graph(
            graph=graph,
            images=images,
            labels=labels,
            outputs=outputs,
            evaluation=evaluation,
            train=train,
            step=step,
            layers=tuple(layers),
            starts=tuple(starts),
            initializer=tf.global_variables_initializer(),
        )


def _variables(
    optimizer: Optimizer, specs: Sequence[LayerSpec], dtype: tf.DType
) -> Tuple[List[tf.Tensor], List[Any]]:
    """Placeholders of each layer's initial weights, and the variables that start from them."""
    starts, layers = [], []
    for number, spec in enumerate(specs, start=1):
        with tf.variable_scope(f"variables/layer_{number}"):
            starts.append(tf.placeholder(dtype, spec.weight_shape, "start"))
            layers.append(optimizer.create(starts[-1]))
    return starts, layers


def _outputs(network: Network, logits: tf.Tensor, targets: tf.Tensor) -> Outputs:
    """What is reported of a forward pass."""
    costs, _ = network.reported_cost.forward(logits, targets)
    return Outputs(logits, tf.argmax(logits, axis=1), costs)


def _one_row(model: _Model, step: tf.Variable) -> Tuple[tf.Tensor, tf.Operation]:
    """The per-step protocol: a row of the schedule on each batch.

    It is the row ``floormod(step // hold, period)``.

    Returns:
        The logits, and the operation that updates the layers of the row.
    """
    with tf.name_scope("schedule"):
        turn = turn_at(model.schedule, step.read_value())
    logits, _, _, updates = _round(model, turn, [[] for _ in model.layers])
    return logits, updates


def _whole_cycle(model: _Model) -> Tuple[tf.Tensor, tf.Operation]:
    """The per-batch protocol: every row of the schedule in turn on the same batch.

    A round's forward pass starts at the lowest layer that the round before updated: below it
    nothing has changed.

    Returns:
        The logits of the first round, and the operation that runs the updates of all rounds.
    """
    first_logits, caches, lowest, all_updates = None, None, 0, []
    latest: Latest = [[] for _ in model.layers]
    for number in range(model.schedule.cycle):
        with tf.name_scope(f"round_{number + 1}"):
            turn = turn_of_round(model.schedule, number)
            logits, caches, latest, updates = _round(model, turn, latest, caches, lowest)
        all_updates.append(updates)
        if first_logits is None:
            first_logits = logits
        lowest = int(np.argmax(turn.gates.updated))  # the first True
    return first_logits, tf.group(*all_updates)


def _round(
    model: _Model,
    turn: Turn,
    latest: Latest,
    earlier: Optional[Sequence] = None,
    first: int = 0,
) -> Tuple[tf.Tensor, List, Latest, tf.Operation]:
    """A forward pass, the gradient at the logits, and the chain down from there with its updates.

    Only edges order the operations of a graph, and TensorFlow merges equal operations that no edge
    separates. So each layer is read, and updated, after its last update in the rounds before.
    Within a round every weight is read once. Every update depends on the logits, and so comes after
    every read that the forward pass uses. A value that has been read does not change: the chain
    uses the weights of its forward pass.

    Args:
        model: The model.
        turn: Which layers to update, and how.
        latest: The last update of each layer in the rounds before.
        earlier: The caches of the round before, if there is one.
        first: Index of the first layer that the round before updated.

    Returns:
        The logits, the caches, the last update of each layer up to now, and the operation that
        runs the updates of this round.
    """
    with tf.name_scope("forward"):
        weights = []
        for layer, before in zip(model.layers, latest):
            with tf.control_dependencies(before):
                weights.append(layer.w.read_value())
        seen, weights = model.optimizer.begin(model.layers, weights, turn.gates.updated)
        logits, caches = model.network.forward(model.images, seen, earlier, first)
    now = list(latest)

    def update(i: int, dw: tf.Tensor) -> tf.Operation:
        layer, restarted = model.layers[i], []
        with tf.name_scope("update"), tf.control_dependencies(latest[i]):
            if not is_closed(turn.restarts[i]):
                restart = when(turn.restarts[i], lambda: model.optimizer.restart(layer), "restart")
                restarted = [restart]
            with tf.control_dependencies(restarted):
                # Per step, this is inside a branch; nothing outside it could wait for the update,
                # but no round follows.
                now[i] = [model.optimizer.update(layer, weights[i], dw, turn.factors[i])]
        return now[i][0]

    with tf.name_scope("backward"):
        with tf.name_scope("loss"):
            _, cache = model.network.loss.forward(logits, model.targets)
            dlogits = model.network.loss.input_grad(cache)
        updates = model.network.gated_backward(dlogits, caches, turn.gates, update)
    return logits, caches, now, updates
