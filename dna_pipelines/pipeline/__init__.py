"""What the program does, step by step: ingest, calibrate, fit, compare, plan.

Belongs here: use cases that read from the lake, call the domain and write to the lake. Dagster's
assets and the command line both call them. Does not: Dagster, terminals, arithmetic.
"""
