from __future__ import annotations

import subprocess
import sys

import pytest

import compressor_lib
from compressor_lib import public


def test_the_package_has_the_public_names():
    names = {name for name in vars(public) if not name.startswith("_")}
    assert set(compressor_lib.__all__) == names
    assert all(getattr(compressor_lib, name) is getattr(public, name) for name in names)
    assert names <= set(dir(compressor_lib))


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'run_serach'"):
        compressor_lib.run_serach  # noqa: B018


def test_nothing_heavy_is_imported_with_the_package():
    script = "import compressor_lib, sys; sys.exit(bool({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
