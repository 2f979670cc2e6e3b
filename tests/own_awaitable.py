"""An awaitable of the user's whose iterator is no generator, so that its stack can't be read."""

from __future__ import annotations

from typing import Any


class Own:
    """Awaits what it is given."""

    def __init__(self, awaitable: Any) -> None:
        self._awaitable = awaitable

    def __await__(self) -> Any:
        return _Iterator(self._awaitable.__await__())


class _Iterator:
    def __init__(self, iterator: Any) -> None:
        self.send, self.throw = iterator.send, iterator.throw

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)
