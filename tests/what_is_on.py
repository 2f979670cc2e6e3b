"""Imports livekit-agents and prints which tools are on in this process; with ``child``, in a child process of it."""

from __future__ import annotations

import json
import subprocess
import sys

if sys.argv[1:] == ["child"]:
    sys.exit(subprocess.call([sys.executable, __file__]))

import livekit.agents  # noqa: F401
from opentelemetry import trace

on = []
shim = sys.modules.get("onenter_deadlock_fix")
if shim and shim.status().state == "patched":
    on.append("shim")
if type(trace.get_tracer_provider()).__name__ == "TracerProvider":
    on.append("opentelemetry")
if "ddtrace.bootstrap.preload" in sys.modules:
    on.append("ddtrace")
if "newrelic.config" in sys.modules:
    on.append("newrelic")
if getattr(sys.modules.get("elasticapm"), "_activation_method", None) == "wrapper":
    on.append("elasticapm")
print(json.dumps(on))
