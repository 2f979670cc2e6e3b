"""Random agent programs: what detection says of them is held to what they do.

``python -m random_programs --seeds 300``, in ``tests/``, plays them on the installed livekit-agents, each in each mode
and in virtual time, and prints as JSON what is not as it must be. ``--show SEED`` prints one program and what came out.
``generate.py`` makes a program of a seed, ``perform.py`` plays it, ``judge.py`` says what must be.
"""
