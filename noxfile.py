"""Play the scenarios on releases of livekit-agents: ``nox`` alone is ``nox -s matrix``, the boundary releases.

``compatibility`` plays all releases and writes the results, ``record`` plays named scenarios and writes theirs, and
``page`` generates docs/compatibility.md from the results. ``shell`` is an environment for any release. ``random`` and
``soak`` are the long runs of tests.
"""

from __future__ import annotations

import nox

DETECT, DETECT_AFTER = "ONENTER_DEADLOCK_FIX_DETECT", "ONENTER_DEADLOCK_FIX_DETECT_AFTER"

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


@nox.session
@nox.parametrize("release", ["1.3.6", "1.3.5"])
def soak(session: nox.Session, release: str) -> None:
    """Run the soak and the faults for long: on bare 1.3.6 first, and then no worse on 1.3.5 with the shim.

    On 1.3.5 detection is in the mode ``report``, and in ``resolve`` for the faults once more.
    """
    bare = release == "1.3.6"
    session.install(*([".", f"livekit-agents=={release}", "openai<3"] if bare else [".[affected]"]))
    outcomes = session.cache_dir.absolute()
    session.chdir("tests")
    for name, command in {
        "faults": ["soak.faults", "--loops", "12"],
        "soak": ["soak"],
        "growth": ["soak", "--sessions", "10", "--handoffs", "50", "--rounds", "5", "--trace"],
    }.items():
        outcome = outcomes / f"{name}.json"
        if bare:
            outcome.unlink(missing_ok=True)
            unfinished = outcome.with_suffix(".unfinished")
            with unfinished.open("w", encoding="utf-8") as file:
                session.run("python", "-m", *command, stdout=file)
            unfinished.rename(outcome)
        elif not outcome.exists():
            session.error("the outcome of 1.3.6 is missing: run the session for both")
        else:
            for mode in ("report", "resolve") if name == "faults" else ("report",):
                # a fault is over in less than a second
                detect = {DETECT: mode, DETECT_AFTER: "0.05" if name == "faults" else "5"}
                session.run("python", "-m", *command, "--no-worse-than", str(outcome), env=detect)


def _compatibility(session: nox.Session, module: str, *arguments: str) -> None:
    session.install("packaging", "pip>=25.1", "uv")  # pip, for the list of releases
    session.run("python", "-m", module, *arguments)
