"""Views of an extractor: virtual neurons made from its neurons by fixed linear maps, or cell by cell.

Belongs here: the layers of a view, the extractor that computes them, the measurement of its basis.
"""
