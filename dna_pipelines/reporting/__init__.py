"""What people look at: the matrix, and the pictures of it and of one comparison.

Belongs here: turning results into tables and pictures. Does not: computing them, terminals, Dagster.
"""
