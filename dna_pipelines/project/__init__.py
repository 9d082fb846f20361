"""What a project is and what its names stand for: the folder, references, sets of images, checks and problems.

Nothing in this room extracts, fits or compares.
"""
