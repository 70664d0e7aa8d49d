from __future__ import annotations

import subprocess
import sys

import pytest

from components.node_options import AnomalyOptions, ImageOptions
from compressor_lib.errors import CompressorError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageOptions(max_bad_share=5), "max_bad_share is 5: it must be at most 1"),
        (lambda: ImageOptions(max_file_mb=0), "max_file_mb is 0: it must be more than 0"),
        (lambda: ImageOptions(duplicates="kep"), "unknown duplicates 'kep'. Did you mean 'keep'"),
        (lambda: AnomalyOptions(max_drift=-0.1), "max_drift is -0.1: it must be at least 0"),
        (lambda: AnomalyOptions(on_anomaly="halt"), "unknown on_anomaly 'halt'"),
    ],
)
def test_a_wrong_option_is_refused(make, message):
    with pytest.raises(CompressorError, match=message):
        make()


def test_the_configuration_reads_them_without_tfx():
    code = "import sys, components.node_options; sys.exit('tfx.types' in sys.modules or 'tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
