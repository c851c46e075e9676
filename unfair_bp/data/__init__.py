"""Data sets: uint8 images in memory, and the batches that are made from them."""
