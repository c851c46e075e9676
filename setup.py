"""Installation of unfair_bp; the version is read from unfair_bp/__init__.py."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "unfair_bp" / "__init__.py").read_text(), re.MULTILINE
).group(1)
NOTEBOOKS = ["nbformat", "nbclient", "ipykernel"]
TEST = ["pytest", "pytest-xdist", "hypothesis", *NOTEBOOKS]

setup(
    name="unfair-bp",
    version=VERSION,
    description="Unfair back propagation: layers that are not updated equally often, "
    "with hand-written gradients in TensorFlow graph mode",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["unfair_bp", "unfair_bp.*"]),
    entry_points={"console_scripts": ["unfair-bp = unfair_bp.__main__:script"]},
    package_data={"unfair_bp.experiment": ["published_2018.csv"]},
    python_requires=">=3.7",
    install_requires=[
        "tensorflow>=1.15.5",
        "numpy",
        "scipy",
        "imgaug>=0.4.0",
        "matplotlib",
        "pillow",
        "pooch>=1.8",
        "requests",  # which pooch uses, and whose errors it lets through
        "tqdm",
        "distributed>=2022.2",  # the last for Python 3.7, which does not work with newer clicks:
        'click<8.1; python_version < "3.8"',
    ],
    extras_require={
        "test": TEST,
        "dev": [*TEST, "ruff"],
        # To run the notebooks and to build them anew.
        "notebooks": NOTEBOOKS,
        # The newest TensorFlow with the CUDA libraries it was built for.
        "gpu": ["tensorflow[and-cuda]"],
        # The last TensorFlow 1, for Python 3.7; protobuf 3.21 no longer reads its generated code.
        "tf1": ["tensorflow==1.15.5", "protobuf<3.21"],
    },
)
