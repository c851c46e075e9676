"""Unfair back propagation: layers that are not updated equally often, in TensorFlow graph mode."""

__version__ = "0.1.0"
