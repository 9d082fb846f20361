"""The training of the embedded extractor: formula images in, a frozen network and its card out.

Belongs here: the formulas, their colouring and damage, the schedule, the export. It is run by hand
(`python -m training --help`) and is no part of the installed package.
"""
