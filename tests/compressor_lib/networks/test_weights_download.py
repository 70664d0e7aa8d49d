from __future__ import annotations

import inspect
import re
from contextlib import nullcontext

import keras
import pytest
from hooks import check_hooks
from keras.src.utils import file_utils
from proxies import Proxy, set_proxy

from compressor_lib.errors import CompressorError
from compressor_lib.networks import weights_download
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.weights_download import without_downloads


def test_keras_downloads_through_the_replaced_function():
    check_hooks("keras", weights_download, file_utils, "urlretrieve")
    assert "urlretrieve(" in inspect.getsource(keras.utils.get_file), "Keras downloads in another way: adapt"


@pytest.mark.parametrize("asking", [without_downloads, nullcontext])
@pytest.mark.parametrize("status", [403, 407])
def test_proxy_refusal_is_reported_with_the_proxys_name(monkeypatch, tmp_path, asking, status):
    proxy = Proxy(status=status)
    set_proxy(monkeypatch, proxy.url)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    message = (
        rf"downloaded: Tunnel connection failed: {status} [\w ]+, "
        r"requesting storage\.googleapis\.com through the proxy "
    )
    with pytest.raises(CompressorError, match=message + re.escape(proxy.url)), asking():
        find_backbone("MobileNetV2").build(input_size=96, alpha=0.35)
    proxy.close()
    assert proxy.asked == ["CONNECT storage.googleapis.com:443"]


def test_wrong_width_is_not_blamed_on_the_proxy(monkeypatch, tmp_path):
    set_proxy(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(CompressorError) as told:
        find_backbone("MobileNetV2").build(input_size=96, alpha=0.36)
    assert "proxy" not in str(told.value)
