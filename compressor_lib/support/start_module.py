"""Runs a module like ``python -m``, but without the working folder: ``python start_module.py MODULE [ARGUMENT ...]``.

``python -m`` puts the working folder first in the module search path. A folder ``components/`` of another project would
then shadow this project's package. Python 3.11 prevents that with ``-P``; Python 3.10 has no such option.
"""

import os
import runpy
import sys


def main() -> None:
    """Replaces this file's folder in the module search path with the project's folder and runs the module."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if place and os.path.abspath(place) != here]
    project = os.path.dirname(os.path.dirname(here))
    if project not in sys.path:  # neither installed nor on PYTHONPATH
        sys.path.insert(0, project)
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
