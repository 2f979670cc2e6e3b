"""Random agent programs, which check what detection logs against what they do.

``python -m random_programs --seeds 300``, in ``tests/``, plays them on the installed livekit-agents, each in each mode
and in virtual time, and prints the violations as JSON. ``--show SEED`` prints one program and what came out.
``generate.py`` generates a program from a seed, ``perform.py`` plays it, ``judge.py`` has the rules.
"""
