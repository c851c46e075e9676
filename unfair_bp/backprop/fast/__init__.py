"""The same convolution in faster forms, and the choice among them."""
