"""CIFAR-10 and CIFAR-100: their official files described, downloaded, found and read."""
