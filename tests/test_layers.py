"""Each layer against automatic differentiation, against central differences, and by hand."""

import numpy as np
import pytest
from conftest import (
    DIRECT_FORMS,
    FORMS,
    GROUPED_FORMS,
    LAYERS,
    WINOGRAD_FORMS,
    fits,
    relative_error,
)

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.fast.grouped import GroupedConvolution, SplitConvolution
from unfair_bp.backprop.fast.winograd import B, WinogradConvolution, row_matrix
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.layers import AveragePool, Elu, GlobalAveragePool, SoftmaxCrossEntropy

EXACT = 1e-10
NUMERIC = 1e-6


def away_from_zero(random, shape):
    """Values on both sides of ELU's kink, none nearer to it than a central difference reaches."""
    return random.uniform(0.1, 2.0, shape) * random.choice([-1.0, 1.0], shape)


def central_differences(function, point, step=1e-5):
    """Derivative of a scalar function by every entry of a point."""
    slopes = np.zeros_like(point)
    for index in np.ndindex(*point.shape):
        plus, minus = point.copy(), point.copy()
        plus[index] += step
        minus[index] -= step
        slopes[index] = (function(plus) - function(minus)) / (2 * step)
    return slopes


def check(forward, backward, points, seed=0):
    """Compare a hand-written backward rule with the derivative of its forward rule.

    Args:
        forward: Tensors to (output, cache).
        backward: (output gradient, cache) to one gradient for each tensor.
        points: The arrays at which to compare.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = [tf.placeholder(tf.float64, [None, *point.shape[1:]]) for point in points]
        # The kernel of a convolution has a static shape; images have any batch.
        inputs[1:] = [tf.placeholder(tf.float64, point.shape) for point in points[1:]]
        feed = dict(zip(inputs, points))
        output, cache = forward(*inputs)
        shape = session.run(output, feed).shape
        cotangent = np.random.RandomState(seed).standard_normal(shape)
        manual = session.run(backward(tf.constant(cotangent), cache), feed)
        automatic = session.run(tf.gradients(output, inputs, tf.constant(cotangent)), feed)
        for i, point in enumerate(points):

            def scalar(value, i=i):
                return np.sum(cotangent * session.run(output, {**feed, inputs[i]: value}))

            numeric = central_differences(scalar, point)
            assert relative_error(manual[i], automatic[i]) <= EXACT
            assert relative_error(manual[i], numeric) <= NUMERIC


CONVOLUTIONS = {
    "3x3": ([2, 5, 4, 3], [3, 3, 3, 6]),
    "3x3, one pixel": ([3, 1, 1, 2], [3, 3, 2, 4]),
    "3x3, one channel": ([2, 3, 6, 1], [3, 3, 1, 1]),
    "5x5": ([2, 6, 7, 2], [5, 5, 2, 3]),
    "1x1": ([3, 2, 4, 5], [1, 1, 5, 2]),
    "1x3": ([3, 2, 4, 5], [1, 3, 5, 2]),
    "5x3": ([2, 3, 4, 2], [5, 3, 2, 3]),
    "5x3, fewer outputs": ([2, 3, 4, 3], [5, 3, 3, 2]),
}


@pytest.mark.parametrize("form", DIRECT_FORMS.values(), ids=DIRECT_FORMS)
@pytest.mark.parametrize("shapes", list(CONVOLUTIONS.values()), ids=list(CONVOLUTIONS))
def test_convolution(shapes, form):
    """Breaks on a kernel that is not flipped or swapped, a wrong padding, shift or axis."""
    check_convolution(form, shapes)


@pytest.mark.parametrize("inputs, outputs", [(2, 3), (3, 2)])
def test_weight_gradient_copies_the_pixels_of_fewer_channels(inputs, outputs):
    """Breaks if the tensor with more channels is the image, whose pixels are copied k x m times."""
    with tf.Graph().as_default() as graph:
        x, dz = (tf.placeholder(tf.float32, [None, 4, 5, count]) for count in (inputs, outputs))
        w = tf.placeholder(tf.float32, [3, 3, inputs, outputs])
        Convolution().param_grad(dz, (x, w))
    (convolution,) = (op for op in graph.get_operations() if op.type == "Conv2D")
    image, kernel = convolution.inputs
    assert image.shape.as_list()[0] == min(inputs, outputs)
    assert kernel.shape.as_list()[3] == max(inputs, outputs)


WHOLE_WINDOWS = {
    "one window": ([2, 3, 4, 2], [3, 3, 2, 4]),
    "three windows": ([2, 5, 12, 3], [3, 3, 3, 2]),
    "one pixel high, one channel": ([3, 1, 8, 1], [3, 3, 1, 1]),
    "1x3": ([2, 3, 8, 2], [1, 3, 2, 3]),
    "5x3": ([2, 6, 4, 2], [5, 3, 2, 3]),
}


@pytest.mark.parametrize("form", WINOGRAD_FORMS.values(), ids=WINOGRAD_FORMS)
@pytest.mark.parametrize("shapes", list(WHOLE_WINDOWS.values()), ids=list(WHOLE_WINDOWS))
def test_winograd_along_the_rows(shapes, form):
    """Breaks on a wrong number in a matrix, a window in the wrong place, or images mixed up."""
    check_convolution(form, shapes)
    check_forward(form, shapes)


def check_forward(form, shapes):
    """Compare a form's forward rule with the plain one."""
    x, w = (np.random.RandomState(8).standard_normal(shape) for shape in shapes)
    with tf.Graph().as_default(), tf.Session() as session:
        z, expected = (f.forward(tf.constant(x), tf.constant(w))[0] for f in (form, Convolution()))
        z, expected = session.run((z, expected))
    assert relative_error(z, expected) <= EXACT


@pytest.mark.parametrize("form", WINOGRAD_FORMS.values(), ids=WINOGRAD_FORMS)
def test_kernels_of_winograds_grouped_convolution(form):
    """Breaks if the two forms are one, which is the slower one somewhere."""
    with tf.Graph().as_default() as graph:
        z, cache = form.forward(tf.zeros([1, 2, 4, 3]), tf.zeros([3, 3, 3, 5]))
        dz = form.prepare_grad(z, cache)
        form.input_grad(dz, cache)
        form.param_grad(dz, cache)
        kernels = [op.type for op in graph.get_operations() if op.type.startswith("Conv2D")]
    # Six groups; forward, input gradient and, unless it is made of products, weight gradient.
    assert kernels == ["Conv2D"] * (3 * 6 if type(form.grouped) is SplitConvolution else 2)


@pytest.mark.parametrize("form", GROUPED_FORMS.values(), ids=GROUPED_FORMS)
def test_grouped_convolution(form):
    """Breaks if groups are mixed up, or a group's derivative is not that of its convolution."""
    random = np.random.RandomState(4)
    shapes = [[2, 4, 3, 6], [5, 3, 2, 12], [2, 4, 3, 12]]
    with tf.Graph().as_default(), tf.Session() as session:
        x, w, dz = (tf.constant(random.standard_normal(shape)) for shape in shapes)
        groups = list(zip(*(tf.split(t, 3, axis=3) for t in (x, w, dz))))
        expected = [Convolution().forward(x_g, w_g)[0] for x_g, w_g, _ in groups]
        expected_dw = [Convolution().param_grad(dz_g, (x_g, w_g)) for x_g, w_g, dz_g in groups]
        x, dz = form.groups_of(x, 3), form.groups_of(dz, 3)
        z, expected = session.run((form.forward(x, w), tf.concat(expected, axis=3)))
        dw, expected_dw = session.run((form.param_grad(dz, x, w), tf.stack(expected_dw, axis=2)))
    assert relative_error(z, expected) <= EXACT
    assert relative_error(dw, expected_dw) <= EXACT


def test_no_groups_on_a_tensorflow_that_cannot(monkeypatch):
    """Breaks if TensorFlow 1.15 is given groups: it writes where it must not, and says nothing."""
    monkeypatch.setattr(tf.version, "VERSION", "1.15.5")
    refused = pytest.raises(NotImplementedError, match=r"1\.15\.5 has no grouped convolution")
    with tf.Graph().as_default(), refused:
        GroupedConvolution().forward(tf.zeros([1, 2, 2, 4]), tf.zeros([1, 1, 2, 4]))


@pytest.mark.parametrize(
    "version, works", [("1.15.5", False), ("2.8.4", False), ("2.9.0", True), ("3.0.0", True)]
)
def test_where_groups_work(version, works, monkeypatch):
    """Breaks if a TensorFlow that cannot is asked, or one that can is not."""
    monkeypatch.setattr(tf.version, "VERSION", version)
    assert GroupedConvolution.works_here() == works


def test_windows_of_a_row():
    """Breaks if a window is not where :func:`row_matrix` says."""
    whole = row_matrix(8)
    assert whole.shape == (12, 8)
    first, second = whole[:6], whole[6:]
    assert (first[:, :5] == B[:, 1:]).all() and not first[:, 5:].any()
    assert (second[:, 3:] == B[:, :5]).all() and not second[:, :3].any()


def check_convolution(form, shapes):
    """Compare a form's derivatives with those that TensorFlow finds of the plain sum."""
    random = np.random.RandomState(1)
    x, w = (random.standard_normal(shape) for shape in shapes)

    def forward(x, w):
        return Convolution().forward(x, w)[0], form.forward(x, w)[1]

    def backward(dz, cache):
        dz = form.prepare_grad(dz, cache)
        return [form.input_grad(dz, cache), form.param_grad(dz, cache)]

    check(forward, backward, [x, w])


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.weight_shape}")
def test_forms_agree_on_the_layers_of_the_network(layer):
    """Breaks if a form goes wrong at the post's shapes, in float32 and on the machine's kernels."""
    random = np.random.RandomState(9)
    shape = [2, layer.size, layer.size]
    x = random.standard_normal([*shape, layer.inputs]).astype(np.float32)
    dz = random.standard_normal([*shape, layer.outputs]).astype(np.float32)
    w = random.standard_normal(layer.weight_shape).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        results = []
        forms = [form for name, form in FORMS.items() if fits(name, layer)]
        for form in forms:
            z, cache = form.forward(tf.constant(x), tf.constant(w))
            grad = form.prepare_grad(tf.constant(dz), cache)
            results.append((z, form.input_grad(grad, cache), form.param_grad(grad, cache)))
        first, *others = session.run(results)
    winograd = len(WINOGRAD_FORMS) if layer.kernel == 3 else 0
    assert len(others) == len(DIRECT_FORMS) - 1 + winograd
    for other in others:
        for actual, expected in zip(other, first):
            assert relative_error(actual, expected) <= 1e-5


def test_convolution_by_hand():
    """Breaks if the forward rule flips the kernel or pads on one side only."""
    x = np.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    w = np.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    with tf.Graph().as_default(), tf.Session() as session:
        z, _ = Convolution().forward(tf.constant(x), tf.constant(w))
        z = session.run(z)
    # The image 1 2 3 / 4 5 6 under the kernel 1 2 3 / 4 5 6 / 7 8 9, zeros around it.
    assert z[0, :, :, 0].tolist() == [
        [5 * 1 + 6 * 2 + 8 * 4 + 9 * 5, 4 + 10 + 18 + 28 + 40 + 54, 8 + 15 + 35 + 48],
        [2 + 6 + 20 + 30, 1 + 4 + 9 + 16 + 25 + 36, 2 + 6 + 20 + 30],
    ]


def test_elu():
    """Breaks on a slope other than 1 above zero or exp(z) below."""
    z = away_from_zero(np.random.RandomState(2), [3, 4, 5, 2])
    check(Elu().forward, lambda dy, cache: [Elu().input_grad(dy, cache)], [z])


def test_elu_at_zero():
    """Breaks if the kink, whose slope is 1 from both sides, gets another one."""
    with tf.Graph().as_default(), tf.Session() as session:
        _, cache = Elu().forward(tf.constant([0.0, -0.0], tf.float64))
        dz = Elu().input_grad(tf.constant([3.0, -2.0], tf.float64), cache)
        assert session.run(dz).tolist() == [3.0, -2.0]


def test_average_pool():
    """Breaks if the gradient is not shared by four, or goes to the wrong pixels."""
    x = np.random.RandomState(3).standard_normal([2, 6, 4, 3])
    check(AveragePool(2).forward, lambda dy, cache: [AveragePool(2).input_grad(dy, cache)], [x])


def test_global_average_pool():
    """Breaks if the gradient is not shared by all pixels."""
    x = np.random.RandomState(4).standard_normal([3, 5, 2, 4])
    check(
        GlobalAveragePool().forward,
        lambda dy, cache: [GlobalAveragePool().input_grad(dy, cache)],
        [x],
    )


def mean_cost(logits, labels):
    """Cross entropy of the softmax, in its plainest form."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(labels)), labels]))


def test_softmax_cross_entropy():
    """Breaks if the gradient is that of the sum, or has the wrong sign."""
    random = np.random.RandomState(5)
    logits, labels = 3 * random.standard_normal([4, 7]), np.array([0, 6, 2, 2])
    with tf.Graph().as_default(), tf.Session() as session:
        tensor = tf.constant(logits)
        costs, cache = SoftmaxCrossEntropy().forward(
            tensor, tf.one_hot(labels, 7, dtype=tf.float64)
        )
        mean = tf.reduce_mean(costs)
        manual, automatic, cost = session.run(
            (SoftmaxCrossEntropy().input_grad(cache), tf.gradients(mean, tensor)[0], mean)
        )
    numeric = central_differences(lambda point: mean_cost(point, labels), logits)
    assert cost == pytest.approx(mean_cost(logits, labels), rel=1e-12)
    assert relative_error(manual, automatic) <= EXACT
    assert relative_error(manual, numeric) <= NUMERIC


def test_softmax_cross_entropy_of_large_logits():
    """Breaks if exp() is taken of the logits as they are."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant([[1000.0, 0.0], [-1000.0, 0.0]], tf.float64)
        costs, cache = SoftmaxCrossEntropy().forward(
            logits, tf.constant([[1.0, 0], [1, 0]], "float64")
        )
        costs, grad = session.run((costs, SoftmaxCrossEntropy().input_grad(cache)))
    assert costs.tolist() == [0.0, 1000.0]
    assert grad.tolist() == [[0.0, 0.0], [-0.5, 0.5]]


@pytest.mark.parametrize("factor", [1.001, -1.0])
def test_checker_sees_a_wrong_backward(factor):
    """Breaks if the comparison above would let a wrong factor or sign pass."""
    z = away_from_zero(np.random.RandomState(6), [2, 3, 2, 2])
    with pytest.raises(AssertionError):
        check(Elu().forward, lambda dy, cache: [factor * Elu().input_grad(dy, cache)], [z])


def test_errors_give_expected_and_actual_shape():
    """Breaks if a wrong shape gets as far as TensorFlow's own message."""
    winograd = WinogradConvolution(SplitConvolution())
    with tf.Graph().as_default():
        x = tf.zeros([2, 5, 4, 3])
        with pytest.raises(ValueError, match=r"\[k, m, C, D\] with k, m odd, got \(2, 1, 3"):
            Convolution().forward(x, tf.zeros([2, 1, 3, 4]))
        with pytest.raises(ValueError, match=r"with k, m odd, got \(1, 2, 3"):
            Convolution().forward(x, tf.zeros([1, 2, 3, 4]))
        with pytest.raises(ValueError, match=r"expected \[N, H, W, 7\], got \(2, 5, 4, 3\)"):
            Convolution().forward(x, tf.zeros([3, 3, 7, 4]))
        with pytest.raises(ValueError, match=r"expected x \[N, H, 4R, C\] .* got \(2, 4, 5, 3\)"):
            winograd.forward(tf.zeros([2, 4, 5, 3]), tf.zeros([3, 3, 3, 4]))
        with pytest.raises(ValueError, match=r"w \[k, 3, C, D\], .* \(3, 1, 3, 4\)"):
            winograd.forward(tf.zeros([2, 4, 4, 3]), tf.zeros([3, 1, 3, 4]))
        with pytest.raises(ValueError, match=r"expected \[N, H, W, 7\], got \(2, 4, 4, 3\)"):
            winograd.forward(tf.zeros([2, 4, 4, 3]), tf.zeros([3, 3, 7, 4]))
        with pytest.raises(ValueError, match=r"expected \[N, 2H, 2W, C\], got \(2, 5, 4, 3\)"):
            AveragePool(2).forward(x)
