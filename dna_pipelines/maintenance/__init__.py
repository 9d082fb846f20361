"""Keeping a project sound: the doctor, pruning, profiles and exports."""
