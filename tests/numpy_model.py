"""The network, its derivatives and Adam in plain NumPy float64: an oracle for the tests.

It shares no code with the package. Images are [N, H, W, C], kernels [k, k, c_in, c_out], and
H and W must be divisible by 4. Lists of layers count from 0, so layer 1 is `weights[0]`.

    x -> conv1 conv2 conv3 pool -> conv4 conv5 conv6 pool -> conv7 conv8 conv9 -> mean over H, W

Every convolution has stride 1, SAME padding, no bias, and is followed by an ELU, the ninth too.
"""

import numpy as np

LAYERS = 9
POOLED_LAYERS = (2, 5)  # a 2x2 average pool follows layers 3 and 6


# --- the pieces, each followed by its derivative


def pad_same(x, k):
    """Add the k - 1 rows and columns of zeros that keep H and W through a k x k kernel."""
    before = (k - 1) // 2
    after = k - 1 - before
    return np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)), mode="constant")


def conv(x, w):
    """z[n,y,x,o] = sum over i, j, c of padded[n,y+i,x+j,c] w[i,j,c,o]."""
    N, H, W, _ = x.shape
    k = w.shape[0]
    padded = pad_same(x, k)
    z = np.zeros((N, H, W, w.shape[3]))
    for i in range(k):
        for j in range(k):
            z += np.einsum("nyxc,co->nyxo", padded[:, i : i + H, j : j + W], w[i, j])
    return z


def conv_kernel_gradient(x, dz, k):
    """dw[i,j,c,o] = sum over n, y, x of padded[n,y+i,x+j,c] dz[n,y,x,o]."""
    _, H, W, _ = x.shape
    padded = pad_same(x, k)
    dw = np.zeros((k, k, x.shape[3], dz.shape[3]))
    for i in range(k):
        for j in range(k):
            dw[i, j] = np.einsum("nyxc,nyxo->co", padded[:, i : i + H, j : j + W], dz)
    return dw


def conv_input_gradient(dz, w):
    """dpadded[n,y+i,x+j,c] = sum over i, j, o of dz[n,y,x,o] w[i,j,c,o]; the padding is cut off."""
    N, H, W, _ = dz.shape
    k = w.shape[0]
    dpadded = np.zeros((N, H + k - 1, W + k - 1, w.shape[2]))
    for i in range(k):
        for j in range(k):
            dpadded[:, i : i + H, j : j + W] += np.einsum("nyxo,co->nyxc", dz, w[i, j])
    before = (k - 1) // 2
    return dpadded[:, before : before + H, before : before + W]


def elu(z):
    """z for z > 0, exp(z) - 1 for z <= 0."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0.0)))


def elu_slope(z):
    """1 for z > 0, exp(z) for z <= 0."""
    return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0.0)))


def average_pool(x):
    """Mean of each 2x2 block."""
    return (x[:, 0::2, 0::2] + x[:, 0::2, 1::2] + x[:, 1::2, 0::2] + x[:, 1::2, 1::2]) / 4.0


def average_pool_gradient(dy):
    """Each of a block's four pixels gets a quarter of the block's gradient."""
    N, H, W, C = dy.shape
    dx = np.zeros((N, 2 * H, 2 * W, C))
    for i in range(2):
        for j in range(2):
            dx[:, i::2, j::2] = dy / 4.0
    return dx


def global_average(x):
    """Mean over all pixels: [N, H, W, C] -> [N, C]."""
    return x.mean(axis=(1, 2))


def global_average_gradient(dy, H, W):
    """Each of the H W pixels gets 1 / (H W) of the gradient."""
    N, C = dy.shape
    return np.ones((N, H, W, C)) * dy[:, None, None, :] / (H * W)


def log_softmax(logits):
    """Log of exp(l) / sum(exp(l)), shifted by the largest logit so that nothing overflows."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def mean_cross_entropy(logits, labels):
    """Minus the mean log probability of the right class."""
    return -log_softmax(logits)[np.arange(len(labels)), labels].mean()


def mean_cross_entropy_gradient(logits, labels):
    """(softmax - one hot) / N."""
    one_hot = np.zeros(logits.shape)
    one_hot[np.arange(len(labels)), labels] = 1.0
    return (np.exp(log_softmax(logits)) - one_hot) / len(labels)


# --- the network


def forward(weights, images):
    """Return (logits [N, classes], (inputs, z)): each layer's input and value before its ELU."""
    if len(weights) != LAYERS:
        raise ValueError(f"expected {LAYERS} layers, got {len(weights)}")
    if images.shape[1] % 4 or images.shape[2] % 4:
        raise ValueError(f"height and width must be divisible by 4, got {images.shape!r}")
    x = np.asarray(images, dtype=np.float64)
    inputs, z = [], []
    for layer in range(LAYERS):
        inputs.append(x)
        z.append(conv(x, np.asarray(weights[layer], dtype=np.float64)))
        x = elu(z[layer])
        if layer in POOLED_LAYERS:
            x = average_pool(x)
    return global_average(x), (inputs, z)


def cost_and_accuracy(weights, images, labels):
    """Return (mean softmax cross entropy, fraction of images whose largest logit is right)."""
    logits, _ = forward(weights, images)
    accuracy = np.mean(logits.argmax(axis=1) == np.asarray(labels))
    return float(mean_cross_entropy(logits, labels)), float(accuracy)


def gradients(weights, images, labels, quirks=()):
    """Return (mean cost, list of the nine derivatives of the mean cost by the weights).

    With quirks, what the scripts of 2018 took for these derivatives.
    """
    logits, (inputs, z) = forward(weights, images)
    dlogits = mean_cross_entropy_gradient(logits, labels)
    if "sum-loss" in quirks:
        dlogits *= len(labels)
    _, H, W, _ = z[-1].shape
    dx = global_average_gradient(dlogits, H, W)
    if "pool-repeat" in quirks:
        dx *= H * W
    dw = [None] * LAYERS
    for layer in reversed(range(LAYERS)):
        if layer in POOLED_LAYERS:
            dx = average_pool_gradient(dx)
            if "pool-repeat" in quirks:
                dx *= 4.0
        w = np.asarray(weights[layer], dtype=np.float64)
        dz = dx * elu_slope(z[layer])
        if "elu-slope" in quirks:
            dz[z[layer] > 0] *= 2.0
        dw[layer] = conv_kernel_gradient(inputs[layer], dz, w.shape[0])
        dx = conv_input_gradient(dz, w)
    return float(mean_cross_entropy(logits, labels)), dw


class NumpyTrainer:
    """Adam (Kingma and Ba 2015, algorithm 1) on the layers that a table picks per iteration.

    `table` is boolean, [period, 9]: iteration t updates the layers of row t % period. Each layer
    has its own moments and its own count of updates; they rest while the layer is skipped.

    With `hold`, a row is used for that many iterations before the next one. `factors` has the
    table's shape and multiplies the learning rate. `moments` "reset" forgets a layer's moments and
    count when it was skipped on the iteration before; "reset-all" forgets those of all layers
    when other layers are updated than before, and whenever a held row ends.
    """

    def __init__(  # noqa: PLR0917
        self,
        weights,
        table,
        learning_rate,
        beta1,
        beta2,
        epsilon,
        quirks=(),
        *,
        hold=1,
        factors=None,
        moments="keep",
    ):
        """Copy the weights, so the caller's arrays are never written."""
        self.hold, self.factors, self.moments = hold, factors, moments
        self.active = set(range(LAYERS))  # the layers of the iteration before
        self.quirks = quirks
        self.weights = [np.array(w, dtype=np.float64) for w in weights]
        self.table = np.array(table, dtype=bool)
        if self.table.ndim != 2 or self.table.shape[1] != LAYERS:
            raise ValueError(f"expected a table [period, 9], got {self.table.shape!r}")
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.m = [np.zeros(w.shape) for w in self.weights]
        self.v = [np.zeros(w.shape) for w in self.weights]
        self.counts = [0] * LAYERS
        self.iteration = 0

    def step(self, images, labels):
        """Do one iteration; return (cost, accuracy) of its forward pass."""
        number = self.iteration // self.hold % len(self.table)
        row = np.flatnonzero(self.table[number])
        self.rates = np.full(LAYERS, self.learning_rate)
        if self.factors is not None:
            self.rates = self.rates * self.factors[number]
        self._forget(row)
        seen = list(self.weights)
        if "update-first" in self.quirks:
            for layer in row:
                if self.counts[layer] > 0:  # m is zero before, and so is the move
                    self._move(layer)
            seen = [seen[0], *self.weights[1:]]
        before = cost_and_accuracy(seen, images, labels)
        _, dw = gradients(seen, images, labels, self.quirks)
        for layer in row:
            self._update(layer, dw[layer])
        self.iteration += 1
        return before

    def _forget(self, row):
        """Forget moments and counts, as the policy has it, before an iteration updates a row."""
        new_row = set(row) != self.active if self.hold == 1 else self.iteration % self.hold == 0
        for layer in range(LAYERS):
            returns = layer in row and layer not in self.active
            if (self.moments == "reset-all" and new_row) or (self.moments == "reset" and returns):
                self.counts[layer] = 0
                self._clear(layer)
        self.active = set(row)

    def _clear(self, layer):
        self.m[layer] = np.zeros(self.m[layer].shape)
        self.v[layer] = np.zeros(self.v[layer].shape)

    def _update(self, layer, g):
        self.counts[layer] += 1
        self.m[layer] = self.beta1 * self.m[layer] + (1.0 - self.beta1) * g
        self.v[layer] = self.beta2 * self.v[layer] + (1.0 - self.beta2) * g * g
        if "update-first" not in self.quirks:
            self._move(layer)

    def _move(self, layer):
        t = 1 if "adam-constant" in self.quirks else self.counts[layer]
        m_hat = self.m[layer] / (1.0 - self.beta1**t)
        v_hat = self.v[layer] / (1.0 - self.beta2**t)
        move = self.rates[layer] * m_hat / (np.sqrt(v_hat) + self.epsilon)
        self.weights[layer] = self.weights[layer] - move


class NumpySgdTrainer(NumpyTrainer):
    """Gradient descent with momentum on the layers that a table picks per iteration.

    The accumulated gradients rest while a layer is skipped.
    """

    def __init__(self, weights, table, learning_rate, momentum, nesterov, **options):
        """The settings of Adam are of no use here."""
        super().__init__(weights, table, learning_rate, 0.0, 0.0, 0.0, **options)
        self.momentum = momentum
        self.nesterov = nesterov
        self.accumulated = [np.zeros(w.shape) for w in self.weights]

    def _update(self, layer, g):
        self.counts[layer] += 1
        self.accumulated[layer] = self.momentum * self.accumulated[layer] + g
        direction = self.accumulated[layer]
        if self.nesterov:
            direction = g + self.momentum * direction
        self.weights[layer] = self.weights[layer] - self.rates[layer] * direction

    def _clear(self, layer):
        self.accumulated[layer] = np.zeros(self.accumulated[layer].shape)
