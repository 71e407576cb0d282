"""Searching for activation functions: strategies, tasks, networks, training, and the study that keeps the results."""

if __name__ != "actc.search":
    raise ImportError(f"import this package as actc.search, not as {__name__}")
