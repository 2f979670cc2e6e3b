"""``nox -s matrix`` proves the shim on the boundary releases, ``compatibility`` on all, and writes that down."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["matrix"]


@nox.session
def matrix(session: nox.Session) -> None:
    """Boundary releases; with ``-- --all`` all that the package index lists, with ``-- 1.2.9 1.8.9`` those."""
    _play(session, *session.posargs)


@nox.session
def compatibility(session: nox.Session) -> None:
    """All releases; writes COMPATIBILITY.md, and what the tests hold 1.3.5 with the shim against."""
    _play(
        session, "--all", "--write", "COMPATIBILITY.md", "--record", "tests/scenarios/upstream.json", *session.posargs
    )


def _play(session: nox.Session, *arguments: str) -> None:
    session.install("packaging", "pip>=25.1", "uv")  # pip, for the list of releases
    session.run("python", "-m", "compatibility", *arguments)
