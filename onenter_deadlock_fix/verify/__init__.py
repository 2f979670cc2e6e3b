"""Prove the fix and detection on the installed livekit-agents; ``onenter-deadlock-fix verify`` runs this."""
