"""The core: layers, convolution, gates, network, optimizers, graph, to be read in this order."""
