"""The machine and the network; knows nothing of notebooks."""
