"""``python -m wherry.cli``: the wherry command without its launcher."""

from __future__ import annotations

from wherry.cli.main import main

main()
