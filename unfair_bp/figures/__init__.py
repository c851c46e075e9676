"""Pictures, drawn with Matplotlib from plain values: no TensorFlow, no reading of files."""
