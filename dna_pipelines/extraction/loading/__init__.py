"""From what the datasets file names to a `Network`: the registry and each kind of location.

Belongs here: `hf:`, `timm:`, `local:`, MODULE:FUNCTION, entry points. Does not: architectures of the package.
"""
