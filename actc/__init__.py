"""actc: a compiler for neural-network activation functions."""
