from __future__ import annotations

import keras_tuner as kt

from compressor_lib.search.place import Place, without_places


def declared(hp: kt.HyperParameters) -> dict[str, str | None]:
    hp.Choice("backbone", ["A", "B"])
    values = {}
    for backbone in ("A", "B"):
        place = Place({"backbone": backbone}, f"{backbone}, 96 px")
        with place.scope(hp):
            values[backbone] = hp.Choice(place.named("translator"), [f"{backbone.lower()}->head"])
    return values


def test_only_the_chosen_backbones_hyperparameters_have_values():
    hp = kt.HyperParameters()
    assert declared(hp) == {"A": "a->head", "B": None}
    hp.values = {"backbone": "B"}
    hp.ensure_active_values()
    assert hp.values == {"backbone": "B", "translator (B, 96 px)": "b->head"}
    assert declared(hp) == {"A": None, "B": "b->head"}
    assert without_places(hp.values) == {"backbone": "B", "translator": "b->head"}


def test_a_network_alone_has_the_plain_names():
    assert Place().named("translator") == "translator"
    hp = kt.HyperParameters()
    with Place().scope(hp):
        hp.Choice("translator", ["a->head"])
    assert hp.space[0].conditions == []
