"""What the commands and ``verify`` find out about an environment: its livekit-agents, and what the shim does to it."""
