"""The compatibility matrix: the scenarios on every release of livekit-agents. ``noxfile.py`` is the way in."""
