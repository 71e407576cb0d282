"""From programs to machine code and torch ops."""

if __name__ != "actc.kernels":
    raise ImportError(f"import this package as actc.kernels, not as {__name__}")
