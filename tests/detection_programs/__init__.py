"""Agent programs that detection is tested with, a coroutine function each; the lines that somebody waits in are marked.

Tests play them by the fixture ``play``, in a fork of a process that has imported livekit-agents once for all of them.
"""
