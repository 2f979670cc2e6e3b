"""List what an older livekit-agents release needs beside it today: its own requirements have no upper bounds."""

from __future__ import annotations

from packaging.version import Version

# release older than this -> requirement, and why (found by importing each release with the newest dependencies)
_PINS = (
    (Version("1.3.6"), "opentelemetry-exporter-otlp<1.39"),  # newer ones pull in an SDK without LogData
    (Version("1.6.10"), "openai<3"),  # 3.x does not bring httpx any more
)


def pins(release: Version) -> list[str]:
    """Return the requirements to install together with this livekit-agents release."""
    return [requirement for older_than, requirement in _PINS if release < older_than]
