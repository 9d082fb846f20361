"""The `dna` command: what the pipeline does, for people.

Belongs here: options, tables, messages, exit codes. Does not: anything another program would want.
"""
