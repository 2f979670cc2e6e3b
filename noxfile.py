"""``nox -s matrix`` proves the shim on the boundary releases, ``compatibility`` on all, and writes that down.

``nox -s soak`` is the long run of what `tests/soak/` does briefly.
"""

from __future__ import annotations

import nox

DETECT, DETECT_AFTER = "ONENTER_DEADLOCK_FIX_DETECT", "ONENTER_DEADLOCK_FIX_DETECT_AFTER"

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


@nox.session
@nox.parametrize("release", ["1.3.6", "1.3.5"])
def soak(session: nox.Session, release: str) -> None:
    """The long run of the soak and of the faults: on bare 1.3.6 first, and then no worse on 1.3.5 with the shim.

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


def _play(session: nox.Session, *arguments: str) -> None:
    session.install("packaging", "pip>=25.1", "uv")  # pip, for the list of releases
    session.run("python", "-m", "compatibility", *arguments)
