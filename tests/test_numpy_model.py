"""Tests of the oracle itself: what it computes is compared with definitions, never the package."""

import numpy as np
import numpy_model as oracle
import pytest

CHANNELS = [3, 5, 4, 6, 3, 4, 5, 3, 4, 7]  # neighbours differ, so a swapped axis cannot fit
KERNELS = [3, 3, 3, 3, 3, 3, 3, 1, 1]
TOLERANCE = 1e-6
ALL_LAYERS = np.ones((1, 9), dtype=bool)


def tiny_problem(seed=0, height=8, width=8, count=3):
    """Weights that keep activations near 1, images of both signs, and labels that differ."""
    rng = np.random.RandomState(seed)
    weights = []
    for k, c_in, c_out in zip(KERNELS, CHANNELS[:-1], CHANNELS[1:]):
        weights.append(rng.randn(k, k, c_in, c_out) * 1.4 / np.sqrt(k * k * c_in))
    images = rng.randn(count, height, width, 3)
    labels = np.arange(count) * 2 % CHANNELS[-1]
    return weights, images, labels


def relative_errors(weights, images, labels, analytic, *, entries=12, h=1e-5):
    """Compare with central differences; per layer, the largest error over the largest slope.

    The entries are drawn at random, and the layer's steepest one is always among them.
    """
    rng = np.random.RandomState(1)
    errors = []
    for layer, w in enumerate(weights):
        picked = rng.choice(w.size, size=min(entries, w.size), replace=False).tolist()
        picked.append(int(np.abs(analytic[layer]).argmax()))
        slopes = []
        for entry in picked:
            costs = []
            for shift in (h, -h):
                moved = [v.copy() for v in weights]
                moved[layer].flat[entry] += shift
                costs.append(oracle.cost_and_accuracy(moved, images, labels)[0])
            slopes.append((costs[0] - costs[1]) / (2 * h))
        difference = np.abs(np.array(slopes) - analytic[layer].flat[picked])
        errors.append(difference.max() / np.abs(slopes).max())
    return np.array(errors)


def feed_gradients(monkeypatch, values):
    """Make the oracle's gradients the given constants, one for each iteration."""
    remaining = list(values)

    def constant(weights, images, labels, quirks):
        value = remaining.pop(0)
        return 0.0, [np.full(w.shape, value) for w in weights]

    monkeypatch.setattr(oracle, "gradients", constant)


# --- convolution, ELU, pools, cost


@pytest.mark.parametrize("k", [1, 3, 5])
def test_convolution_is_scipys_correlation(k):
    """Breaks if the kernel is flipped, its axes swapped, or the padding not zero and centred."""
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.RandomState(2)
    x = rng.randn(2, 6, 9, 3)
    w = rng.randn(k, k, 3, 4)
    expected = np.zeros((2, 6, 9, 4))
    for n in range(2):
        for c in range(3):
            for o in range(4):
                expected[n, :, :, o] += signal.correlate2d(x[n, :, :, c], w[:, :, c, o], "same")
    np.testing.assert_allclose(oracle.conv(x, w), expected, rtol=0, atol=1e-12)


def test_convolution_of_one_pixel_by_hand():
    """Breaks if the kernel is flipped: tap (0, 0) must look one up and one left, zero outside."""
    x = np.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    w = np.zeros((3, 3, 1, 1))
    w[0, 0] = 1.0
    expected = [[0.0, 0.0, 0.0], [0.0, 1.0, 2.0]]
    np.testing.assert_array_equal(oracle.conv(x, w)[0, :, :, 0], expected)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_convolution_derivatives_are_adjoints(k):
    """Breaks if a derivative is not the transpose of the convolution (which is bilinear)."""
    rng = np.random.RandomState(3)
    x = rng.randn(2, 6, 9, 3)
    w = rng.randn(k, k, 3, 4)
    dz = rng.randn(2, 6, 9, 4)
    expected = (oracle.conv(x, w) * dz).sum()
    by_kernel = (w * oracle.conv_kernel_gradient(x, dz, k)).sum()
    by_input = (x * oracle.conv_input_gradient(dz, w)).sum()
    np.testing.assert_allclose([by_kernel, by_input], expected, rtol=1e-12)


def test_elu_at_both_signs():
    """Breaks on a slope of 2 for positive values, a wrong branch, or an overflow of exp."""
    z = np.array([-800.0, -1.0, -1e-12, 0.0, 0.5, 2.0, 800.0])
    value = [-1.0, np.exp(-1.0) - 1.0, -1e-12, 0.0, 0.5, 2.0, 800.0]
    slope = [0.0, np.exp(-1.0), 1.0 - 1e-12, 1.0, 1.0, 1.0, 1.0]
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(oracle.elu(z), value, rtol=1e-11, atol=0)
        np.testing.assert_allclose(oracle.elu_slope(z), slope, rtol=1e-15, atol=0)


def test_pools_average_and_share_their_gradient():
    """Breaks if a pool sums, takes wrong blocks, or its gradient is repeated without dividing."""
    x = np.array([[1.0, 2.0, 5.0, 6.0], [3.0, 6.0, 7.0, 10.0]]).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(oracle.average_pool(x)[0, :, :, 0], [[3.0, 7.0]])
    back = oracle.average_pool_gradient(np.array([4.0, 8.0]).reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(back[0, :, :, 0], [[1.0, 1.0, 2.0, 2.0]] * 2)
    np.testing.assert_array_equal(oracle.global_average(x), [[5.0]])
    back = oracle.global_average_gradient(np.array([[8.0]]), 2, 4)
    np.testing.assert_array_equal(back[0, :, :, 0], np.ones((2, 4)))


def test_cost_by_hand():
    """Breaks if the cost is a sum, takes softmax twice, uses another base, or overflows."""
    logits = np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 4.0]])
    expected = -(np.log(5.0 / 8.0) + np.log(3.0 / 10.0)) / 2.0
    for shift in (0.0, 1000.0, -1000.0):
        np.testing.assert_allclose(
            oracle.mean_cross_entropy(logits + shift, [2, 0]), expected, rtol=1e-12
        )
    expected = np.array([[1 / 8, 2 / 8, -3 / 8], [-7 / 10, 3 / 10, 4 / 10]]) / 2.0
    got = oracle.mean_cross_entropy_gradient(logits, [2, 0])
    np.testing.assert_allclose(got, expected, rtol=1e-12)


# --- the network


def test_constant_image_by_hand():
    """Breaks if an ELU is missing, the ninth's above all, or if a layer is missing or repeated.

    Kernels with only a centre tap leave a constant image constant: it goes through nine scalars.
    """
    taps = [1.5, -0.5, 2.0, 1.25, -3.0, 0.5, -1.0, 0.75, 2.0]
    weights, value = [], 0.8
    for k, tap in zip(KERNELS, taps):
        w = np.zeros((k, k, 1, 1))
        w[k // 2, k // 2] = tap
        weights.append(w)
        value *= tap
        value = value if value > 0 else np.exp(value) - 1.0
    assert value < 0, "the ninth ELU must be on its curved side for this test to see it"
    logits, _ = oracle.forward(weights, np.full((2, 8, 4, 1), 0.8))
    np.testing.assert_allclose(logits, [[value], [value]], rtol=1e-13)


def test_forward_is_the_network_written_with_scipy():
    """Breaks if a pool comes after another layer, before its ELU, or is not a 2x2 average."""
    signal = pytest.importorskip("scipy.signal")
    weights, images, _ = tiny_problem(height=4, width=8, count=2)
    logits, _ = oracle.forward(weights, images)
    assert logits.shape == (2, 7)
    for n, image in enumerate(images):
        maps = list(image.transpose(2, 0, 1))
        for number, w in enumerate(weights, start=1):
            new = []
            for o in range(w.shape[3]):
                z = sum(signal.correlate2d(a, w[:, :, c, o], "same") for c, a in enumerate(maps))
                a = np.array([[v if v > 0 else np.exp(v) - 1.0 for v in row] for row in z])
                if number in (3, 6):
                    height, width = a.shape
                    a = a.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
                new.append(a)
            maps = new
        np.testing.assert_allclose(logits[n], [a.mean() for a in maps], rtol=1e-10, atol=1e-13)


def test_sizes_not_divisible_by_four_are_refused():
    """Breaks if a size that the two pools cannot halve gets through."""
    weights, _, _ = tiny_problem()
    for shape in ((1, 6, 8, 3), (1, 8, 10, 3)):
        with pytest.raises(ValueError, match="divisible by 4"):
            oracle.forward(weights, np.zeros(shape))


def test_cost_and_accuracy_of_an_undecided_network():
    """Breaks if the mean is a sum, or accuracy is not the fraction whose first maximum is right."""
    weights, images, _ = tiny_problem(count=4)
    zeros = [np.zeros(w.shape) for w in weights]
    cost, accuracy = oracle.cost_and_accuracy(zeros, images, np.array([0, 3, 0, 0]))
    np.testing.assert_allclose(cost, np.log(7.0), rtol=1e-14)
    assert accuracy == 0.75


def test_accuracy_follows_the_logits():
    """Breaks if labels are matched with the wrong images or the smallest logit wins."""
    weights, images, _ = tiny_problem()
    logits, _ = oracle.forward(weights, images)
    best = logits.argmax(axis=1)
    assert oracle.cost_and_accuracy(weights, images, best)[1] == 1.0
    best[0] = logits[0].argmin()
    np.testing.assert_allclose(oracle.cost_and_accuracy(weights, images, best)[1], 2 / 3)


# --- the gradients


@pytest.mark.parametrize("size", [(8, 8), (4, 8)])
def test_gradients_are_central_differences(size):
    """Breaks on any wrong derivative: ELU slope, pool share, 1 / N, padding, a swapped axis."""
    weights, images, labels = tiny_problem(height=size[0], width=size[1])
    _, (_, z) = oracle.forward(weights, images)
    assert all((a > 0).any() and (a < 0).any() for a in z), "both sides of every ELU must be used"
    cost, analytic = oracle.gradients(weights, images, labels)
    assert cost == oracle.cost_and_accuracy(weights, images, labels)[0]
    assert [g.shape for g in analytic] == [w.shape for w in weights]
    errors = relative_errors(weights, images, labels, analytic)
    assert (errors < TOLERANCE).all(), errors


@pytest.mark.parametrize("wrong", range(9))
def test_control_the_check_sees_a_thousandth(wrong):
    """Breaks if the check above could not see one layer's gradient off by a factor of 1.001."""
    weights, images, labels = tiny_problem()
    _, analytic = oracle.gradients(weights, images, labels)
    analytic[wrong] = analytic[wrong] * 1.001
    seen = relative_errors(weights, images, labels, analytic, entries=1) >= TOLERANCE
    assert seen.tolist() == [layer == wrong for layer in range(9)]


# --- the trainer


def test_adams_first_step_is_the_learning_rate():
    """Breaks without bias correction, or if the sign is wrong: m / sqrt(v) is sign(g) at first."""
    weights, images, labels = tiny_problem()
    _, dw = oracle.gradients(weights, images, labels)
    trainer = oracle.NumpyTrainer(weights, ALL_LAYERS, 1e-3, 0.9, 0.999, 1e-12)
    before = trainer.step(images, labels)
    assert before == oracle.cost_and_accuracy(weights, images, labels)
    for old, new, g in zip(weights, trainer.weights, dw):
        clear = np.abs(g) > 1e-7
        assert clear.mean() > 0.9
        np.testing.assert_allclose((old - new)[clear], 1e-3 * np.sign(g[clear]), rtol=1e-4)
    assert trainer.counts == [1] * 9
    assert trainer.iteration == 1


def test_adam_by_hand_with_a_skip(monkeypatch):
    """Breaks if the betas are swapped, epsilon is under the root, or a skip counts or adds.

    Layer 9 sees the gradients 1 and -3; the 100 between them comes while it is skipped. With
    beta1 1/2 and beta2 3/4 the corrected moments are 1 and 1, then -5/3 and 39/7.
    """
    weights, images, labels = tiny_problem()
    table = np.ones((3, 9), dtype=bool)
    table[1, 8] = False
    trainer = oracle.NumpyTrainer(weights, table, 0.01, 0.5, 0.75, 0.5)
    feed_gradients(monkeypatch, [1.0, 100.0, -3.0])
    first = weights[8] - 0.01 / 1.5
    second = first + 0.01 * (5 / 3) / (np.sqrt(39 / 7) + 0.5)
    for expected in (first, first, second):
        trainer.step(images, labels)
        np.testing.assert_allclose(trainer.weights[8], expected, rtol=1e-13)
    assert trainer.counts == [3] * 8 + [2]
    np.testing.assert_allclose(trainer.m[8], -1.25, rtol=1e-15)
    np.testing.assert_allclose(trainer.v[8], 2.4375, rtol=1e-15)


def test_skipped_layers_do_not_change_a_bit():
    """Breaks if a skipped layer's weights, moments or count move, or rows come in another order."""
    weights, images, labels = tiny_problem()
    originals = [w.copy() for w in weights]
    table = np.zeros((2, 9), dtype=bool)
    table[0, [0, 8]] = True
    table[1, [4, 8]] = True
    trainer = oracle.NumpyTrainer(weights, table, 1e-3, 0.9, 0.9, 1e-8)
    for iteration in range(5):
        assert trainer.iteration == iteration
        kept = list(zip(trainer.weights, trainer.m, trainer.v, trainer.counts))
        kept = [(w.copy(), m.copy(), v.copy(), count) for w, m, v, count in kept]
        trainer.step(images, labels)
        for layer, (w, m, v, count) in enumerate(kept):
            same = [
                np.array_equal(trainer.weights[layer], w),
                np.array_equal(trainer.m[layer], m),
                np.array_equal(trainer.v[layer], v),
                trainer.counts[layer] == count,
            ]
            updated = layer in ((0, 8), (4, 8))[iteration % 2]
            assert same == [not updated] * 4, (iteration, layer)
    assert trainer.counts == [3, 0, 0, 0, 2, 0, 0, 0, 5]
    for w, original in zip(weights, originals):
        np.testing.assert_array_equal(w, original)


def test_every_layer_uses_the_weights_before_the_iteration():
    """Breaks if a layer's gradient is taken after another layer of the same iteration moved."""
    weights, images, labels = tiny_problem()
    together = oracle.NumpyTrainer(weights, ALL_LAYERS, 0.05, 0.9, 0.9, 1e-8)
    together.step(images, labels)
    for layer in range(9):
        only = np.zeros((1, 9), dtype=bool)
        only[0, layer] = True
        alone = oracle.NumpyTrainer(weights, only, 0.05, 0.9, 0.9, 1e-8)
        alone.step(images, labels)
        np.testing.assert_array_equal(alone.weights[layer], together.weights[layer])


def test_the_next_iteration_sees_the_new_weights():
    """Breaks if the gradients are taken at the first weights again, or the cost after the step."""
    weights, images, labels = tiny_problem()
    trainer = oracle.NumpyTrainer(weights, ALL_LAYERS, 1e-2, 0.9, 0.999, 1e-8)
    costs = []
    for _ in range(10):
        expected = oracle.cost_and_accuracy(trainer.weights, images, labels)
        _, dw = oracle.gradients(trainer.weights, images, labels)
        m = [0.9 * m + (1 - 0.9) * g for m, g in zip(trainer.m, dw)]
        assert trainer.step(images, labels) == expected
        for new, old in zip(trainer.m, m):
            np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-15)
        costs.append(expected[0])
    assert costs[-1] < 0.8 * costs[0], costs
