"""`python -m benchmarks.protocols [NAME …]`: run evaluation protocols. Options go to the protocol, if one is named."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules

import benchmarks.protocols


def protocols() -> list[str]:
    """The modules here that have a `run`."""
    names = [module.name for module in iter_modules(benchmarks.protocols.__path__) if module.name != "__main__"]
    return [name for name in names if hasattr(import_module(f"benchmarks.protocols.{name}"), "run")]


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")][:1] or protocols()
    if unknown := [name for name in names if name not in protocols()]:
        sys.exit(f"there is no protocol {', '.join(unknown)}; there are: {', '.join(protocols())}")
    options = sys.argv[2:] if len(sys.argv) > 1 else []
    for name in names:
        module = import_module(f"benchmarks.protocols.{name}")
        print(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
        module.run(options)


if __name__ == "__main__":
    main()
