"""A release of kfp that moves a name fails here."""

from __future__ import annotations

import inspect

import kfp
from hooks import check_hooks
from kfp import client as settings
from kfp.client import set_volume_credentials

from pipelines.platforms import kfp_hooks


def test_kfp_has_what_the_platform_takes_of_it():
    check_hooks("kfp", kfp_hooks, kfp.Client, "_load_config", "_get_url_prefix", "get_kfp_healthz")
    check_hooks("kfp", kfp_hooks, settings, "KF_PIPELINES_SA_TOKEN_ENV", "KF_PIPELINES_SA_TOKEN_PATH")
    check_hooks("kfp", kfp_hooks, set_volume_credentials, "ServiceAccountTokenVolumeCredentials")
    made = inspect.getsource(kfp.Client.__init__)
    for name in ("_run_api", "_healthz_api"):
        assert f"self.{name} =" in made, f"kfp's client has no {name}: adapt {kfp_hooks.__name__}"
    assert "self._load_config(" in made
