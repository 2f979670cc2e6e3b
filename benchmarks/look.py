"""One look at a hand-over that waits for itself, among so many other tasks: ``python look.py ENVIRONMENTS PYTHON ...``."""
