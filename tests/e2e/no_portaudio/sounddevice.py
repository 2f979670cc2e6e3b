"""Stands in for sounddevice on a machine without PortAudio.

In console mode livekit-agents 1.3.5 imports sounddevice, which needs PortAudio, in text mode too, where it uses
nothing of it.
"""
