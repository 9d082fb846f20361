"""Archives with bytes changed, and what becomes of them."""

import random

from dna_pipelines.errors import SourceError, Unreadable


def outcomes_of_mutations(whole, path, source, n):
    """Of `n` damaged copies of an archive, what happened: any of `refused`, `reported`, `read`, `unreadable`."""
    chance, outcomes = random.Random(20), set()
    for _ in range(n):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice((len(data), len(data), chance.randrange(len(data))))])
        opened = source(path)
        try:
            entries = opened.list().entries
        except SourceError:
            outcomes.add("refused")
            continue
        for entry in entries:
            if entry.problem:
                outcomes.add("reported")
                continue
            try:
                opened.read(entry.path)
                outcomes.add("read")
            except Unreadable:
                outcomes.add("unreadable")
    return outcomes
