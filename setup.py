"""Packages auto-compressor; what can be declared is declared in pyproject.toml.

Apache Beam takes this file as ``--setup_file=./setup.py`` to ship the code to its workers, from a pipeline that is made
in Python; a configuration does not give that flag, and its workers have the code in their image.
"""

import tempfile

from setuptools import setup

# `build/` is a source folder here, not setuptools' scratch. A fresh folder for every build also
# keeps modules that were deleted since out of the wheel.
with tempfile.TemporaryDirectory() as scratch:
    setup(options={"build": {"build_base": scratch}})
