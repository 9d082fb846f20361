"""The result of one significance test."""

from dna_pipelines.analysis.compare import compare_pair, significance_of


def result_of(project, a, b, n_permutations=299):
    return significance_of(project, compare_pair(project, a, b), n_permutations=n_permutations)
