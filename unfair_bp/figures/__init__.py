"""Pictures, drawn with Matplotlib from plain values: no TensorFlow, no reading of files."""

from unfair_bp.environment import any_backend, library

with any_backend(), library("Matplotlib", "matplotlib pillow"):
    import matplotlib.backends.backend_agg  # noqa: F401
