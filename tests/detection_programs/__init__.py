"""Agent programs that detection is tested with, a coroutine function each; the lines that somebody waits in are marked.

``python -m detection_programs`` plays them: it reads requests from standard input, one JSON object a line, and answers
each with one. A program is played in a fork of that process, which has imported livekit-agents once for all of them.
"""
