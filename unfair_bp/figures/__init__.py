"""Pictures, drawn with Matplotlib from plain values: no TensorFlow, no reading of files."""

from unfair_bp.environment import any_backend

with any_backend():
    import matplotlib  # noqa: F401
