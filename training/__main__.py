"""`python -m training`: train the embedded extractor and write what is shipped."""

from __future__ import annotations

from training.command import app

if __name__ == "__main__":
    app()
