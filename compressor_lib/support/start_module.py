"""Runs a module: ``python start_module.py MODULE [ARGUMENT ...]``, like ``python -m``, yet not from the working folder.

``python -m`` puts the working folder first among the places of modules, so that a folder ``components/`` in it, of
whatever project, is taken for this project's. Python 3.11 has ``-P`` against that, 3.10 has not.
"""

import os
import runpy
import sys


def main() -> None:
    """Forgets this file's folder, makes sure of the project's, and runs the module."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if place and os.path.abspath(place) != here]
    project = os.path.dirname(os.path.dirname(here))
    if project not in sys.path:  # neither installed nor on PYTHONPATH
        sys.path.insert(0, project)
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
