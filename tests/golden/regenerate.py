"""Write the golden files anew, then read the difference before committing it.

python tests/golden/regenerate.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from golden_files import FOLDER, GOLDEN

    for name, made in GOLDEN.items():
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / name).write_text(made(Path(folder)), encoding="utf-8")
