"""The core: layers, convolution, network, optimizers, graph, to be read in this order."""
