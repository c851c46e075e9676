"""Batches: which images, in which order, and made ahead by a thread that ends."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from unfair_bp.data import shapes
from unfair_bp.data.batches import (
    AUGMENTED_TOGETHER,
    examples,
    prefetch,
    scale,
    training_batches,
)
from unfair_bp.data.dataset import Dataset
from unfair_bp.experiment.cases import CASES, iterations_per_epoch

COUNT = 23


@pytest.fixture
def images():
    """Images whose pixels all have the value of their index."""
    return np.tile(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], [1, 32, 32, 3])


@pytest.fixture
def labels():
    """Labels that differ from the indices."""
    return (7 * np.arange(COUNT) % 10).astype(np.uint8)


def indices(batch):
    """The image that each place of a batch holds, from its pixels."""
    return np.round(batch.images[:, 0, 0, 0] * 255).astype(int)


def test_scale():
    """Breaks if pixels are divided by something else than 255, or not float32."""
    scaled = scale(np.array([0, 51, 255], np.uint8))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [0.0, np.float32(0.2), 1.0]


def test_an_epoch_shows_every_image_once_with_its_label(images, labels):
    """Breaks if an image is left out at the end, shown twice, or parted from its label."""
    case = replace(CASES["a"], batch_size=5)
    batches = list(training_batches(images, labels, case, epoch=0))
    assert [len(batch.images) for batch in batches] == [5, 5, 5, 5, 3]
    assert len(batches) == iterations_per_epoch(case, COUNT)
    seen = np.concatenate([indices(batch) for batch in batches])
    assert sorted(seen) == list(range(COUNT))
    np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), labels[seen])
    assert seen.tolist() != sorted(seen)


def test_order_follows_seed_and_epoch(images, labels):
    """Breaks if all epochs or all seeds see the same order."""

    def order(seed, epoch):
        case = replace(CASES["a"], seed=seed)
        batches = training_batches(images, labels, case, epoch)
        return np.concatenate([indices(batch) for batch in batches]).tolist()

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_each_batch_is_mixed_in_its_own_way(images):
    """Breaks if the clean images and their copies take the same places in every batch."""
    case = replace(CASES["b"], batch_size=10)
    labels = np.arange(COUNT)  # all different
    patterns = set()
    for batch in training_batches(images, labels, case, epoch=0):
        first_seen = list(dict.fromkeys(batch.labels.tolist()))
        patterns.add(tuple(first_seen.index(label) for label in batch.labels))
    assert len(patterns) == iterations_per_epoch(case, COUNT)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_later_start_sees_the_same_batches(name, images, labels):
    """Breaks if a batch depends on the ones before it, so that a resumed run sees others."""
    case = replace(CASES[name], batch_size=6)
    whole = list(training_batches(images, labels, case, 3))
    late = list(training_batches(images, labels, case, 3, start=2))
    assert len(late) == len(whole) - 2
    for expected, actual in zip(whole[2:], late):
        assert expected.images.tobytes() == actual.images.tobytes()
        assert expected.labels.tobytes() == actual.labels.tobytes()


def test_batches_augmented_together_depend_on_none_but_themselves():
    """Breaks if a batch's copies depend on where the epoch was started, or repeat themselves."""
    random = np.random.RandomState(0)
    count = 2 * AUGMENTED_TOGETHER + 30
    images = random.randint(0, 256, size=[count, 32, 32, 3]).astype(np.uint8)
    case = replace(CASES["b"], batch_size=10)
    whole = list(training_batches(images, np.arange(count) % 10, case, 0))
    assert len(whole) == iterations_per_epoch(case, count)
    boundary = AUGMENTED_TOGETHER // 5
    for start in (boundary - 1, boundary, boundary + 1, 2 * boundary + 3, len(whole) - 1):
        late = list(training_batches(images, np.arange(count) % 10, case, 0, start))
        assert len(late) == len(whole) - start
        for expected, actual in zip(whole[start:], late):
            assert expected.images.tobytes() == actual.images.tobytes()
    other = list(training_batches(images, np.arange(count) % 10, case, 1))
    assert other[0].images.tobytes() != whole[0].images.tobytes()


def test_images_augmented_together_are_drawn_one_by_one():
    """Breaks if one draw serves all images that are augmented together, or all such groups."""
    image = np.random.RandomState(0).randint(0, 256, size=[1, 32, 32, 3]).astype(np.uint8)
    images = np.repeat(image, 2 * AUGMENTED_TOGETHER, axis=0)
    case = replace(CASES["b"], batch_size=10)
    batches = list(training_batches(images, np.zeros(len(images), int), case, 0))
    copies = [{picture.tobytes() for batch in batches for picture in batch.images}]
    half = len(batches) // 2
    for part in (batches[:half], batches[half:]):
        copies.append({picture.tobytes() for batch in part for picture in batch.images})
    # One in ten is shifted and rotated; nearly every such copy differs from every other.
    assert len(copies[0]) > 0.07 * len(images)
    assert len(copies[1] & copies[2]) < 8


def test_half_of_an_augmented_batch_is_clean(images, labels):
    """Breaks if clean and augmented images are not the same ones, or are not mixed."""
    random = np.random.RandomState(0)
    images = random.randint(1, 256, size=[COUNT, 32, 32, 3]).astype(np.uint8)
    case = replace(CASES["b"], batch_size=10)
    batches = list(training_batches(images, labels, case, 0))
    assert [len(batch.images) for batch in batches] == [10, 10, 10, 10, 6]
    places = []
    for batch in batches:
        clean = {}
        for place, image in enumerate(batch.images):
            match = np.flatnonzero((scale(images) == image).all(axis=(1, 2, 3)))
            if len(match):
                clean[place] = int(match[0])
        assert len(clean) == len(batch.images) // 2
        for place, index in clean.items():
            assert batch.labels[place] == labels[index]
        assert sorted(batch.labels) == sorted(np.repeat(labels[list(clean.values())], 2))
        places.append(sorted(clean))
    assert len({tuple(place) for place in places}) > 1


def test_half_of_a_batch_is_black_as_run(labels):
    """Breaks if the quirk imgaug-uint8 is not applied, or blackens the clean images too."""
    images = np.random.RandomState(0).randint(1, 255, size=[COUNT, 32, 32, 3]).astype(np.uint8)
    case = replace(CASES["b"], batch_size=10, quirks=("imgaug-uint8",))
    for batch in training_batches(images, labels, case, 0):
        black = [not image.any() for image in batch.images]
        assert sum(black) == len(black) // 2


def test_prefetch_gives_everything_in_order():
    """Breaks if an item is lost, repeated or overtaken."""
    assert list(prefetch(iter(range(100)), ahead=3)) == list(range(100))
    assert list(prefetch(iter([]))) == []


def test_prefetch_works_ahead_within_bounds():
    """Breaks if nothing is made before it is asked for, or everything at once."""
    made = []
    third = threading.Event()

    def items():
        for i in range(10):
            made.append(i)
            if i == 3:
                third.set()
            yield i

    iterator = prefetch(items(), ahead=3)
    assert next(iterator) == 0
    assert third.wait(5)
    assert made == [0, 1, 2, 3]
    iterator.close()


def test_prefetch_raises_what_the_thread_raised():
    """Breaks if an error in the background ends the epoch quietly."""

    def items():
        yield 1
        raise ValueError("no more")

    iterator = prefetch(items())
    assert next(iterator) == 1
    with pytest.raises(ValueError, match="no more"):
        next(iterator)


def test_prefetch_thread_ends_when_closed():
    """Breaks if every epoch that is cut short leaves a thread behind."""

    def running():
        return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]

    iterator = prefetch(iter(range(1000)))
    next(iterator)
    assert len(running()) == 1
    iterator.close()
    assert not running()


# --- images to look at


@pytest.fixture(scope="module")
def drawings():
    """A data set of a few drawings."""
    return shapes.load().first(12, 1)


def test_examples_are_the_first_images_with_their_names(drawings):
    """Breaks if an example is another image, bears another class, or is augmented for nothing."""
    shown = examples(drawings, CASES["a"])
    np.testing.assert_array_equal(shown["images"], drawings.train_images[:10])
    assert shown["names"].tolist() == [drawings.classes[n] for n in drawings.train_labels[:10]]
    assert shown["augmented"].shape == (0, 10, 32, 32, 3)


def test_augmented_examples_are_what_training_makes(drawings):
    """Breaks if the copies are not the augmentation's, are all one draw, or lose their colours."""
    shown = examples(drawings, CASES["d"])
    assert shown["augmented"].shape == (3, 10, 32, 32, 3)
    assert shown["augmented"].dtype == np.uint8
    assert not np.array_equal(shown["augmented"][0], shown["augmented"][1])
    # Most copies are flipped alone, and then exactly the image seen in a mirror.
    mirrored = (shown["augmented"] == shown["images"][:, :, ::-1]).all(axis=(2, 3, 4))
    assert 0.5 < mirrored.mean() < 1.0


def test_examples_of_the_black_images(drawings):
    """Breaks if the examples hide what the quirk imgaug-uint8 makes of the images."""
    case = replace(CASES["d"], quirks=("imgaug-uint8",))
    shown = examples(drawings, case)
    assert set(np.unique(shown["augmented"])) <= {0, 255}
    assert shown["images"].max() > 0


@pytest.mark.parametrize("name", ["c", "d"])
def test_images_and_classes_of_any_number(name):
    """Breaks if batches or examples assume 32x32 pixels, three channels or ten classes."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, [COUNT, 28, 28, 1]).astype(np.uint8)
    labels = np.arange(COUNT) * 3
    classes = tuple(f"class {number}" for number in range(3 * COUNT))
    dataset = Dataset("own", classes, images, labels, images, labels)
    case = CASES[name]
    batches = list(training_batches(images, labels, case, epoch=0))
    assert {batch.images.shape[1:] for batch in batches} == {(28, 28, 1)}
    assert set(np.concatenate([batch.labels for batch in batches])) == set(labels)
    shown = examples(dataset, case)
    assert shown["images"].shape == (10, 28, 28, 1)
    assert shown["names"].tolist() == [f"class {3 * number}" for number in range(10)]
    assert shown["augmented"].shape == ({"c": 0, "d": 3}[name], 10, 28, 28, 1)


def test_examples_of_a_few_images():
    """Breaks if there must be as many images as are shown."""
    image = np.zeros([1, 8, 8, 3], np.uint8)
    dataset = Dataset("own", ("x",), image, np.array([0]), image, np.array([0]))
    assert examples(dataset, CASES["a"])["augmented"].shape == (0, 1, 8, 8, 3)
