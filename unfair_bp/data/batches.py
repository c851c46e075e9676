"""Batches for training: a function of (seed, epoch, iteration), prepared ahead of their use."""

import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Sequence, TypeVar

import numpy as np

from unfair_bp.data.augment import Augmenter, through_uint8
from unfair_bp.data.dataset import Dataset
from unfair_bp.experiment.cases import Case, clean_per_batch

# Each purpose has a stream of random numbers of its own: none depends on what another has drawn.
ORDER, MIX, AUGMENT, EXAMPLE = 0, 1, 2, 3
EXAMPLES_SHOWN, EXAMPLE_COPIES = 10, 3
AUGMENTED_TOGETHER = 320  # images; 4 MB of CIFAR-10's
AHEAD = 8  # batches kept ready; 10 images of CIFAR-10 take 120 kilobytes

Item = TypeVar("Item")


class Batch(NamedTuple):
    """Images ready to be fed: float32 ``[n, H, W, C]`` in 0..1, and labels ``[n]``."""

    images: np.ndarray
    labels: np.ndarray


def scale(images: np.ndarray) -> np.ndarray:
    """Pixels 0..255 as float32 in 0..1."""
    return images.astype(np.float32) / np.float32(255)


def training_batches(
    images: np.ndarray, labels: np.ndarray, case: Case, epoch: int, start: int = 0
) -> Iterator[Batch]:
    """The batches of one epoch, from iteration ``start`` on.

    Batch i depends on (case.seed, epoch, i) and on nothing else, so a resumed run sees the same
    batches. With augmentation a batch holds clean images and their augmented copies, shuffled
    together.

    Args:
        images: uint8 ``[N, H, W, C]``, the training set.
        labels: ``[N]``.
        case: Batch size, augmentation and seed.
        epoch: Counted from 0.
        start: First iteration, counted from 0.
    """
    order = _random(case, ORDER, epoch).permutation(len(images))
    clean = clean_per_batch(case)
    chosen = (order[first : first + clean] for first in range(0, len(order), clean))
    if case.augment:
        yield from _augmented_batches(
            images, labels, case, epoch=epoch, chosen=list(chosen), start=start
        )
        return
    for part in itertools.islice(chosen, start, None):
        yield Batch(scale(images[part]), labels[part])


def _augmented_batches(
    images: np.ndarray,
    labels: np.ndarray,
    case: Case,
    *,
    epoch: int,
    chosen: Sequence[np.ndarray],
    start: int,
) -> Iterator[Batch]:
    """Batches of the chosen images, each with their augmented copies, from ``start`` on.

    imgaug takes about as long to start as to augment dozens of images, so the images of several
    batches are augmented together. Everything is drawn for each image separately, except the order
    of the steps. That does not matter: shifts and rotations are equally likely in both directions,
    so flipping before or after them gives the same distribution.
    """
    augment = _augmentation(case)
    together = max(1, AUGMENTED_TOGETHER // clean_per_batch(case))  # batches
    mix = _random(case, MIX, epoch)  # reseeded for each batch: a new one takes ten times as long
    for first in range(start - start % together, len(chosen), together):
        parts = chosen[first : first + together]
        originals = scale(images[np.concatenate(parts)])
        seed = _random(case, AUGMENT, epoch, first).randint(2**31)
        copies = augment(originals, seed)
        done = 0
        for iteration, part in enumerate(parts, start=first):
            here = slice(done, done + len(part))
            done += len(part)
            if iteration >= start:
                mix.seed(_seed(case, MIX, epoch, iteration))
                mixed = mix.permutation(2 * len(part))
                yield Batch(
                    np.concatenate([originals[here], copies[here]])[mixed],
                    np.concatenate([labels[part], labels[part]])[mixed],
                )


def examples(dataset: Dataset, case: Case) -> Dict[str, np.ndarray]:
    """A few training images to look at, and augmented copies if the case augments.

    Returns:
        ``images`` uint8 ``[n, H, W, C]``, ``names`` of their classes ``[n]``, and ``augmented``
        uint8 ``[copies, n, H, W, C]``, where copies is 0 without augmentation.
    """
    shown, copies = dataset.train_images[:EXAMPLES_SHOWN], []
    names = [dataset.classes[label] for label in dataset.train_labels[:EXAMPLES_SHOWN]]
    if case.augment:
        augment = _augmentation(case)
        for number in range(EXAMPLE_COPIES):
            seed = _random(case, EXAMPLE, number).randint(2**31)
            copies.append(np.rint(255 * augment(scale(shown), seed)))
    augmented = np.array(copies, np.uint8).reshape([-1, *shown.shape])
    return {"images": shown, "names": np.array(names), "augmented": augmented}


def _augmentation(case: Case) -> Callable[[np.ndarray, int], np.ndarray]:
    """The function that makes augmented copies of images, given a seed."""
    augmenter = Augmenter()
    if "imgaug-uint8" in case.quirks:
        return lambda images, seed: through_uint8(augmenter(images, seed))
    return augmenter


def _random(case: Case, *stream: int) -> np.random.RandomState:
    # NumPy's legacy generator, whose streams are the same in every version.
    return np.random.RandomState(_seed(case, *stream))


def _seed(case: Case, *stream: int) -> List[int]:
    return [case.seed, *stream]


def prefetch(items: Iterable[Item], ahead: int = AHEAD) -> Iterator[Item]:
    """Iterate over items that a background thread makes ahead of their use.

    An exception raised while making an item is raised here in that item's place. Closing the
    iterator ends the thread.
    """
    iterator = iter(items)
    exhausted = object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        pending = deque(thread.submit(next, iterator, exhausted) for _ in range(ahead))
        try:
            while True:
                item = pending.popleft().result()
                if item is exhausted:
                    return
                pending.append(thread.submit(next, iterator, exhausted))
                yield item
        finally:
            for future in pending:
                future.cancel()
