"""Interleaved pairs: each round runs every variant once, so that what else the machine does falls on all of them."""

from __future__ import annotations

import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable

WARM_UP = 2  # rounds that are not counted: byte code gets written, files get into the page cache


@dataclass(frozen=True)
class Variant:
    """A command, with what it has in its environment beside the little that all have."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, **options: int) -> subprocess.Popen[bytes]:
        """Start the command in a folder that holds no Python modules. ``options`` are those of ``Popen``."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.Popen(self.command, env={**kept, **self.environment}, cwd="/", **options)


@dataclass(frozen=True)
class Cost:
    """Seconds: CPU time (user and system together), and wall-clock time."""

    cpu: float
    wall: float


Costs = Mapping[str, Sequence[Cost]]  # name of a variant -> its cost in each round


def whole_process(variant: Variant) -> Cost:
    """Run the variant and return what its process cost, from start to end."""
    began = time.perf_counter()
    process = variant.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{variant.name}: exit code {process.returncode}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=wall)


def interleave(variants: Sequence[Variant], measure: Callable[[Variant], Cost], rounds: int) -> Costs:
    """Measure all variants in each round, and return their costs.

    Each round has an order of its own: what comes after a process that does much finds the caches of the machine cold.
    """
    costs: dict[str, list[Cost]] = {variant.name: [] for variant in variants}
    for number in range(-WARM_UP, rounds):
        for variant in random.Random(number).sample(variants, len(variants)):
            cost = measure(variant)
            if number >= 0:
                costs[variant.name].append(cost)
    return costs


def table(costs: Costs, baseline: str, unit: str = "ms", units: float = 1e3) -> str:
    """Return a Markdown table: for each variant its median cost, and the ratio to the baseline's.

    ``units`` says how many of ``unit`` are a second.
    """
    lines = [f"| | CPU, {unit} | wall, {unit} | CPU ratio | wall ratio |", "| --- | --- | --- | --- | --- |"]
    for name, own in costs.items():
        medians = [statistics.median(getattr(cost, kind) for cost in own) * units for kind in ("cpu", "wall")]
        ratios = [ratio(costs, name, baseline, kind) if name != baseline else "1" for kind in ("cpu", "wall")]
        lines.append(" | ".join([f"| {name}", *(f"{median:.1f}" for median in medians), *ratios]) + " |")
    return "\n".join(lines)


def ratio(costs: Costs, name: str, baseline: str, kind: str) -> str:
    """Return the median of the rounds' ratios, and its 95 % confidence interval.

    The interval is that of order statistics, which asks nothing of how the ratios are distributed.
    """
    ratios = sorted(getattr(own, kind) / getattr(base, kind) for own, base in zip(costs[name], costs[baseline]))
    middle, half = (len(ratios) - 1) / 2, 0.98 * math.sqrt(len(ratios))
    low = ratios[max(0, math.floor(middle - half))]
    high = ratios[min(len(ratios) - 1, math.ceil(middle + half))]
    return f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
