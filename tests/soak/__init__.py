"""Soak, faults and warnings: what handoffs from inside an awaited on_enter withstand.

Beside the tests there are two programs, for longer runs and for the comparison of two releases. From ``tests/``:

    python -m soak --sessions 100 --handoffs 100 > ours.json
    python -m soak --sessions 10 --handoffs 50 --rounds 5 --trace > ours.json
    python -m soak.faults > ours.json

Each prints a JSON object. With ``--no-worse-than theirs.json``, the object that the same command has printed in an
environment with a release that has the fix, it says where this one is worse, and exits with 1 if it is anywhere.
``nox -s soak`` makes both environments and runs all of that.
"""
