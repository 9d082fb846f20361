"""Maintenance of a project: the doctor, pruning, profiles and exports."""
