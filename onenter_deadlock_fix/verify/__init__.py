"""The proof that a user can run: the pattern on the installed livekit-agents, without the shim and with it."""
