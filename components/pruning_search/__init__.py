"""PruningSearch: searches which part of a backbone to prune, with any keras-tuner oracle."""

from components.pruning_search.component import PruningSearch

__all__ = ["PruningSearch"]
