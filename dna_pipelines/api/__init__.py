"""The Python API: what `import dna_pipelines` offers under lazy names.

Belongs here: thin objects that call the other rooms, results that notebooks show, and images that come from Python.
Does not: arithmetic, files of the lake, Dagster. `dna_pipelines/__init__.py` lists the public names.
"""
