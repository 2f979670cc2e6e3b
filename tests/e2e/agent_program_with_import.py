"""The agent program with the one line that its author would add."""

from __future__ import annotations

from agent_program import cli, entrypoint, server  # noqa: F401

import onenter_deadlock_fix  # noqa: F401

if __name__ == "__main__":
    cli.run_app(server)
