"""The official files of CIFAR, found, checked and read."""
