"""What several drivers of one vendor share; imports nothing of Cinder."""

from __future__ import annotations

import os
from collections.abc import Callable


class LooksForDevices:
    """Looks at files."""

    def must_be_there(self, path: str) -> None:
        """Raises FileNotFoundError."""
        if not os.path.exists(path):
            raise FileNotFoundError(path)


def is_there(path: str, look: Callable[[str, int], bool] = os.access) -> bool:
    """Whether a file is there."""
    return look(path, os.F_OK)
