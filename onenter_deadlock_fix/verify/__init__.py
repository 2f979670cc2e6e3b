"""The proofs that a user can run on the installed livekit-agents: of the fix, and of detection."""
