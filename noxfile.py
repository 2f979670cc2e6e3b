"""Play the scenarios on releases of livekit-agents: ``nox`` alone is ``nox -s matrix``, the boundary releases.

``compatibility`` plays all releases and writes the results, ``record`` plays named scenarios and writes theirs, and
``page`` generates docs/compatibility.md from the results. ``shell`` is an environment for any release, and ``random``
plays random programs.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["matrix"]


@nox.session
def matrix(session: nox.Session) -> None:
    """Play all scenarios on the boundary releases; with ``-- 1.2.9 1.8.9`` on those. Write nothing."""
    _compatibility(session, "compatibility", *session.posargs)


@nox.session
def compatibility(session: nox.Session) -> None:
    """Play all scenarios on all releases; write compatibility/results.json, upstream.json and docs/compatibility.md."""
    _compatibility(session, "compatibility", "--every", *session.posargs)


@nox.session
def record(session: nox.Session) -> None:
    """Play the scenarios ``-- NAME ...`` on the boundary releases, and write their results into the same files."""
    if not session.posargs:
        session.error("which scenarios? nox -s record -- NAME ...")
    _compatibility(session, "compatibility", "--record", *session.posargs)


@nox.session
def page(session: nox.Session) -> None:
    """Generate docs/compatibility.md from compatibility/results.json."""
    _compatibility(session, "compatibility.page")


@nox.session
def shell(session: nox.Session) -> None:
    """Open a Python with ``-- RELEASE`` and this project; ``-- RELEASE -m scenarios NAME`` runs that."""
    if not session.posargs:
        session.error("which release? nox -s shell -- RELEASE ...")
    release, *arguments = session.posargs
    folder = session.cache_dir.absolute() / release
    _compatibility(session, "compatibility.environments", release, str(folder))
    session.chdir("tests")
    session.run(str(folder / "bin" / "python"), *arguments, external=True)


@nox.session
def random(session: nox.Session) -> None:
    """Play random programs on 1.3.5: ``-- --seeds 5000 --first 10000``; ``-- --show SEED`` prints one of them."""
    session.install(".[affected]")
    session.chdir("tests")
    session.run("python", "-W", "ignore", "-m", "random_programs", *session.posargs)


def _compatibility(session: nox.Session, module: str, *arguments: str) -> None:
    session.install("packaging", "pip>=25.1", "uv")  # pip, for the list of releases
    session.run("python", "-m", module, *arguments)
