"""Gaussian moments, signal propagation through a model, and the weights that follow from them."""

if __name__ != "actc.init":
    raise ImportError(f"import this package as actc.init, not as {__name__}")
