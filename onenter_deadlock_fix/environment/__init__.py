"""Examine environments for the commands and ``verify``: their livekit-agents, and the state of the shim."""
