"""The core: layers, convolution, network, optimizers, gates, graph, to be read in this order."""
