"""Load ``.env.local`` and ``.env`` of the working directory, as LiveKit's own examples do."""

from __future__ import annotations

from . import print_error


def load_environment_files() -> None:
    """Load ``.env.local``, then ``.env``. A variable that is already set keeps its value."""
    try:
        from dotenv import load_dotenv
    except ModuleNotFoundError:
        print_error("python-dotenv is not installed, so .env.local and .env are not loaded")
        return
    for name in (".env.local", ".env"):
        try:
            load_dotenv(name)
        except (OSError, ValueError) as error:
            print_error(f"{name} was not loaded: {error}")
