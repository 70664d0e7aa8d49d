from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.objective.costs import COSTS
from compressor_lib.training.options import Distillation, ReferenceOptions, RetrainingOptions
from pipelines.cli.exit_status import WRONG_INPUT
from pipelines.cli.main import app
from pipelines.config.config import Config, load_config
from pipelines.config.sections.base import Section, fields_of, is_section
from pipelines.config.sections.data import Data
from pipelines.config.sections.delivery import Gate
from pipelines.config.sections.search import Search
from pipelines.config.vertex import Machine

EXAMPLES = Path(__file__).parents[3] / "examples"
SMALLEST = {"name": "tiny", "data": {"source": "digits"}, "backbone": {"name": "MobileNetV2"}}


@pytest.fixture
def write(tmp_path):
    def _write(values: object) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return path

    return _write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(CompressorError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_smallest_config_is_filled_with_defaults(write):
    config = load_config(write(SMALLEST))
    assert config.search.tau == 0.8
    assert config.output == os.path.abspath("runs/tiny")
    assert config.data_path == os.path.join(config.output, "data")
    assert config.serving_directory == os.path.join(config.output, "serving")
    assert config.retrain.distillation.temperature == 2.0


@pytest.mark.parametrize(
    ("section", "field"), [({"output": ""}, "output"), ({"push": {"directory": ""}}, "push.directory")]
)
def test_an_empty_path_is_refused(write, section, field):
    assert refusal(write({**SMALLEST, **section})).endswith(f": {field} is empty: give a path.")


def test_paths_are_read_from_the_current_directory(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats").mkdir()
    (tmp_path / "w.h5").touch()
    config = load_config(
        write(SMALLEST),
        [
            "data={source: folder, path: cats}",
            "backbone.weights=w.h5",
            "output=out",
            "push.directory=served",
        ],
    )
    assert config.data_path == str(tmp_path / "cats")
    assert config.backbone.weights == str(tmp_path / "w.h5")
    assert config.metadata_path == str(tmp_path / "out" / "metadata.sqlite")
    assert config.serving_directory == str(tmp_path / "served")


@pytest.mark.parametrize("given", [[], ["search.backbones=null"]])
def test_narrower_relatives_are_searched_where_they_save_the_cost(write, given):
    search = load_config(write(SMALLEST), ["search.objective.cost=macs", *given]).search
    assert [backbone.label for backbone in search.backbones] == [
        "MobileNetV2 0.75",
        "MobileNetV2 0.5",
        "MobileNetV2 0.35",
    ]
    assert load_config(write(SMALLEST), ["search.objective.cost=macs", "search.backbones=[]"]).search.backbones == ()


def test_a_latency_table_is_read_before_a_run(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "phone.csv"
    table.write_text("operator,milliseconds\nreference,3\n")
    config = load_config(write(SMALLEST), ["search.latency_table=phone.csv", "search.objective.cost=latency"])
    assert config.search.latency_table == str(table)
    table.write_text("operator,seconds\nreference,3\n")
    with pytest.raises(CompressorError, match=r"search\.latency_table is .*must be 'operator,milliseconds' or"):
        load_config(write(SMALLEST), ["search.latency_table=phone.csv", "search.objective.cost=latency"])


def test_a_further_backbone_may_be_a_name_or_a_section(write, tmp_path):
    weights = tmp_path / "w.h5"
    weights.touch()
    config = load_config(
        write(SMALLEST), [f"search.backbones=[MobileNet, {{name: MobileNetV2, alpha: 0.5, weights: {weights}}}]"]
    )
    first, second = config.search.backbones
    assert (first.name, first.alpha, first.weights, first.label) == ("MobileNet", 1.0, "imagenet", "MobileNet")
    assert (second.weights, second.label) == (str(weights), "MobileNetV2 0.5")
    assert (
        load_config(write(SMALLEST), ["search.backbones=EfficientNetB0"]).search.backbones[0].name == "EfficientNetB0"
    )


def test_a_pattern_of_zero_padded_spans(write):
    assert load_config(write(SMALLEST), ["data.span_pattern=span-{SPAN:2}"]).data.span_pattern == "span-{SPAN:2}"


def test_a_window_of_spans(write):
    assert load_config(write(SMALLEST)).data.span_window == 1
    assert load_config(write(SMALLEST), ["data.span_pattern=span-{SPAN}", "data.span_window=4"]).data.span_window == 4


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name=Bad Name", "name is 'Bad Name': it must be lower-case letters"),
        ("disable_cache=[2024]", "disable_cache[0] is 2024: it must be text"),
        ("seed=-1", "seed is -1: it must be at least 0."),
        ("head=", "head is empty: it must be a section of fields."),
        ("tau=0.5", "unknown field 'tau'. Did you mean 'search.tau'?"),
        ("serch.tau=0.5", "unknown field 'serch'. Did you mean 'search'?"),
        ("search.tua=0.5", "unknown field 'search.tua'. Did you mean 'search.tau'?"),
        (
            "data={source: tfrecord, path: 'minio://b/x'}",
            "data.path is 'minio://b/x', but Beam, which reads TFRecords, does not know minio://: write s3:// instead",
        ),
        ("data.source=foldr", "data.source is 'foldr': it must be 'folder', 'tfrecord' or"),
        ("data.source=folder", "data.path is missing: source folder needs a folder"),
        ("data={source: folder, path: no/such}", "which is not a folder"),
        ("data.path=.", "data.path is set, but the digits are embedded"),
        ("data.span_pattern=latest", "data.span_pattern is 'latest': it must contain {SPAN}"),
        ("data.span_pattern='span-{SPAN:0}'", "data.span_pattern is 'span-{SPAN:0}': it must contain {SPAN}"),
        (
            "data.span_window=newest",
            "data.span_window is 'newest': it must be a whole number.",
        ),
        ("data.span_window=0", "data.span_window is 0: it must be at least 1."),
        ("data.span='span-{SPAN}'", "data.span is now data.span_pattern."),
        ("data.spans={window: 2}", "data.spans is now data.span_window."),
        ("data.outside_links=true", "data.outside_links is now data.follow_external_links."),
        ("gate.per_class=0.1", "gate.per_class is now gate.max_class_drop."),
        ("search.budgets.flops=9", "search.budgets.flops is now search.budgets.macs."),
        ("uncached=[retrain]", "uncached is now disable_cache."),
        ("data.span_window=2", "data.span_window is 2, but data.span_pattern is missing: set the pattern"),
        ("export.formats=[float32, int4]", "export.formats[1] is 'int4': it must be 'float32', 'float16' or 'int8'."),
        ("data.splits.eval=0", "data.splits.eval is 0: it must be more than 0."),
        ("data.max_bad_share=2", "data.max_bad_share is 2: it must be at most 1."),
        ("backbone.name=MobilNetV2", "Did you mean 'MobileNetV2'?"),
        ("backbone={}", "backbone has neither name nor model: set name"),
        ("backbone.classes=[a, b]", "backbone has classes, which a network from the catalogue does not take"),
        ("backbone={model: none.keras}", "none.keras', which is not a file: give a .keras file."),
        ("backbone={model: pyproject.toml}", "pyproject.toml' is not a .keras file"),
        ("backbone.input_size=31", "backbone.input_size is 31: it must be at least 32."),
        ("backbone.input_size=48.5", "backbone.input_size is 48.5: it must be a whole number."),
        ("backbone={name: EfficientNetB0, alpha: 0.5}", "EfficientNetB0 has no width multiplier"),
        ("backbone.weights=none.h5", "which is not a file"),
        ("head.dropout=1", "head.dropout is 1: it must be below 1."),
        ("reference.epochs=many", "reference.epochs is 'many': it must be a whole number."),
        ("reference={head_epochs: 0, epochs: 0}", "reference.head_epochs and epochs are both 0: set one"),
        ("reference.distillation.weight=1", "Did you mean 'retrain.distillation'?"),
        ("reference.augmentation.flip=maybe", "flip is 'maybe': it must be true or false."),
        ("retrain.distillation.weight=1.5", "retrain.distillation.weight is 1.5"),
        ("retrain.distillation.weight=0", "retrain.epochs is not set, so the teacher's size sets their number"),
        ("retrain.distillation=", "retrain.distillation is empty: it must be a section"),
        ("translators.held_out=1", "translators.held_out is 1: it must be below 1."),
        ("search.tau=1.5", "search.tau is 1.5: it must be at most 1."),
        ("search.tau=.nan", "search.tau is nan: it must be a finite number."),
        ("latency_ms=8", "unknown field 'latency_ms'. Did you mean 'search.budgets.latency_ms'?"),
        ("search.objective.cost=mac", "Did you mean 'macs'?"),
        ("search.budgets.macs=0", "search.budgets.macs is 0: it must be more than 0."),
        ("search.objective.max_parameters=9", "search.objective.max_parameters is now search.budgets.parameters."),
        ("search.objective={max_flops: 9}", "search.objective.max_flops is now search.budgets.macs."),
        ("search.objective.max_bytes=9", "search.objective.max_bytes is now search.budgets.bytes."),
        ("search.objective.max_latency_ms=9", "search.objective.max_latency_ms is now search.budgets.latency_ms."),
        (
            "search.cuts=2",
            "search.cuts was removed: one cut with a narrow tail leaves smaller and more accurate networks than two "
            "cuts do. Delete the field.",
        ),
        ("search.parallel_trials=0", "search.parallel_trials is 0: it must be more than 0."),
        ("retrain.strategy=all", "retrain.strategy is 'all': it must be 'none' or 'mirrored'."),
        ("search.tuner=hyperbnd", "Did you mean 'hyperband'?"),
        ("search.connections=everything", "search.connections is 'everything': choose published"),
        ("search.connections=[53, 151]", "search.connections is [53, 151]: choose published"),
        ("search.connections=[53->151, a->b->c]", "search.connections is ['53->151', 'a->b->c']: choose published"),
        ("search.connections=[a->]", "search.connections is ['a->']: choose published"),
        ("search.connections=[]", "search.connections is []: choose published"),
        ("search.head_units=[]", "search.head_units is []: it must be a list that is not empty."),
        ("search.input_sizes=[]", "search.input_sizes is []: it must be a list that is not empty."),
        ("search.input_sizes=[96, 31]", "search.input_sizes[1] is 31: it must be at least 32."),
        ("search.input_sizes=[96, 64, 96]", "search.input_sizes lists 96 twice: list each size once."),
        ("search.backbones=[MobilNet]", "search.backbones[0]: unknown backbone 'MobilNet'. Did you mean 'MobileNet'?"),
        (
            "search.backbones=[{name: EfficientNetB0, alpha: 0.5}]",
            "search.backbones[0].alpha is 0.5, but EfficientNetB0 has no width multiplier",
        ),
        ("search.backbones=[{name: MobileNet, alpha: 0}]", "search.backbones[0].alpha is 0"),
        ("search.backbones=[{name: MobileNet, weights: no.h5}]", "search.backbones[0].weights is "),
        ("search={latency_table: no.csv, budgets: {latency_ms: 8}}", "which is not a file: write the files to measure"),
        (
            "search.latency_table=gs://bucket/phone.csv",
            "search.latency_table is 'gs://bucket/phone.csv', but latency is neither saved nor limited",
        ),
        ("search.backbones=[{alpha: 0.5}]", "search.backbones[0].name is missing."),
        ("search.backbones=[{name: MobileNet, size: 96}]", "unknown field 'search.backbones[0].size'."),
        ("search.backbones=[MobileNet, MobileNet]", "search.backbones lists MobileNet twice: list each backbone once."),
        (
            "search.backbones=[MobileNet, MobileNetV2]",
            "search.backbones[1] is MobileNetV2, the section 'backbone' itself, which is always searched: remove it.",
        ),
        ("search={input_sizes: 96}", "search.input_sizes is 96: it must be a list."),
        ("search.head_units=[-1]", "search.head_units[0] is -1: it must be at least 0."),
        ("gate.baseline=none", "gate.baseline is 'none': it must be 'reference', 'blessed' or 'deployed'."),
        ("gate.max_drop=-0.1", "gate.max_drop is -0.1: it must be at least 0."),
        (
            "beam.runner=flnk",
            "beam.runner is 'flnk': it must be 'direct', 'dataflow', 'flink' or 'spark'. Did you mean",
        ),
        ("beam.workers=0", "beam.workers is 0: it must be more than 0."),
        ("beam={runner: dataflow, project: a}", "beam has no region, temp_location, which runner dataflow needs."),
        (
            "beam.temp_location=/tmp/x",
            "beam.temp_location is '/tmp/x', which Dataflow cannot reach: begin it with gs://",
        ),
        ("beam={runner: flink}", "beam has no master, which runner flink needs."),
        ("beam={runner: spark, master: 'local[2]', workers: 2}", "beam has workers, which runner spark does not take"),
        ("beam={image: a}", "beam has image, which runner direct does not take; it takes workers."),
        (
            "beam={runner: spark, master: a, environment: docker}",
            "beam has no environment_config, which environment docker needs.",
        ),
        ("beam={runner: flink, master: a, environment_config: b}", "beam has environment_config, but no environment"),
        (
            "beam={runner: flink, master: a, environment: loopback, environment_config: b}",
            "beam has environment_config, which environment loopback does not take.",
        ),
        (
            "beam={runner: flink, master: a, environment: external, environment_config: embed}",
            "beam has environment_config 'embed': for external give host:port of the worker pool.",
        ),
        ("vertex={project: a, search: {machine_type: b}}", "vertex.region is missing."),
        ("vertex={project: a, region: b}", "vertex has neither training, search nor endpoint: set one"),
        ("vertex={project: a, region: b, training: {}}", "vertex.training.machine_type is missing."),
        (
            "vertex={project: a, region: b, training: {machine_type: c, nods: [retrain]}}",
            "unknown field 'vertex.training.nods'. Did you mean",
        ),
        (
            "vertex={project: a, region: b, training: {machine_type: c, nodes: [Pusher]}}",
            "vertex.training.nodes[0] is 'Pusher': it must be 'reference' or 'retrain'.",
        ),
        (
            "vertex={project: a, region: b, search: {machine_type: c, replicas: 0}}",
            "vertex.search.replicas is 0: it must be more than 0.",
        ),
        (
            "vertex={project: a, region: b, endpoint: {machine_type: c, display_name: d, image: e, min_replicas: 2}}",
            "vertex.endpoint has min_replicas 2 above max_replicas 1: swap them.",
        ),
        ("volumes=[{claim: a, path: /mnt, x: 1}]", "unknown field 'volumes[0].x'."),
        (
            "volumes=[{claim: team.data, path: /mnt}]",
            "volumes[0].claim is 'team.data', and Kubeflow names the pod's volume",
        ),
        (f"volumes=[{{claim: {'a' * 64}, path: /mnt}}]", "63 at most"),
        (
            "volumes=[{claim: kfp-launcher, path: /mnt}]",
            "volumes[0].claim is 'kfp-launcher', but each node already has another",
        ),
        ("volumes=[{claim: dot-cache-scratch, path: /mnt}]", "volumes[0].claim is 'dot-cache-scratch', but each"),
        (
            "volumes=[{claim: compressor-work, path: /mnt}]",
            "volumes[0].claim is 'compressor-work', but each node already has",
        ),
        ("volumes=[{claim: a, path: mnt}]", "volumes[0].path is 'mnt': give an absolute path"),
        ("volumes=[{claim: a, path: /minio/}]", "volumes[0].path is '/minio/', where Kubeflow mounts a volume of its"),
        ("volumes=[{claim: a, path: /x}, {claim: a, path: /y}]", "volumes has claim 'a' twice"),
        ("volumes=[{claim: a, path: /x}, {claim: b, path: /x/}]", "volumes has path '/x/' twice"),
        ("s3.endpoint=seaweedfs:9000", "s3.endpoint is 'seaweedfs:9000': write http:// or https://, a host and a port"),
        ("s3.secret=Keys", "s3.secret is 'Keys', which is not a valid name of a Secret: use lower-case letters"),
        ("security_context={}", "security_context has no run_as_user, run_as_group or run_as_non_root: set one"),
        ("security_context={run_as_user: 0, run_as_non_root: true}", "security_context has run_as_non_root and run_as"),
        ("resources={retrain: {cpus: 1}}", "unknown field 'resources.retrain.cpus'. Did you mean"),
        ("beam_pipeline_args=--x", "beam_pipeline_args is '--x': it must be a list."),
    ],
)
def test_a_wrong_field_gets_one_line_that_names_it(write, override, expected):
    message = refusal(write(SMALLEST), override)
    assert expected in message
    assert "\n" not in message


@pytest.fixture
def own_model(tmp_path):
    """Writes what `compressor_lib.networks.keras_file` reads of a model for images of a size, None for any."""

    def _write(size: int | None) -> str:
        layers = [
            {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, size, size, 3]}}
        ]
        path = tmp_path / "own.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(
                "config.json",
                json.dumps({"module": "keras", "class_name": "Functional", "config": {"layers": layers}}),
            )
        return str(path)

    return _write


def test_a_model_of_ones_own_brings_its_input_size(write, own_model):
    path = own_model(96)
    overrides = [f"backbone={{model: {path}, classes: [b, a], rescale: [0.5, -1]}}"]
    backbone = load_config(write(SMALLEST), overrides).backbone
    assert (backbone.name, backbone.model, backbone.input_size) == (None, path, 96)
    assert (backbone.classes, backbone.rescale) == (["b", "a"], (0.5, -1.0))
    assert load_config(write(SMALLEST), [*overrides, "backbone.input_size=96"]).backbone == backbone
    assert "input_size is 64, but the model takes 96" in refusal(write(SMALLEST), *overrides, "backbone.input_size=64")


def test_a_model_for_images_of_any_size_needs_one(write, own_model):
    override = f"backbone={{model: {own_model(None)}}}"
    assert "any size: set backbone.input_size" in refusal(write(SMALLEST), override)
    assert load_config(write(SMALLEST), [override, "backbone.input_size=64"]).backbone.input_size == 64


@pytest.mark.parametrize("field", ["name: MobileNetV2", "alpha: 0.5", "weights: none"])
def test_a_model_of_ones_own_takes_no_fields_of_the_catalogue(write, own_model, field):
    message = refusal(write(SMALLEST), f"backbone={{model: {own_model(96)}, {field}}}")
    assert f"backbone has {field.split(':')[0]}, which a model of your own does not take" in message


def test_all_wrong_fields_are_told_at_once(write):
    message = refusal(write({**SMALLEST, "seed": "x"}), "search.tau=2", "gaet.min_accuracy=0.5")
    assert message.splitlines()[0].endswith("has 3 invalid fields:")
    assert len(message.splitlines()) == 4


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search.tau", "is not of the form section.field=value"),
        ("=3", "is not of the form"),
        ("search..tau=3", "is not of the form"),
        ("seed.x=3", "'seed' is a value, not a section"),
        ("search.tau=[", "the value is not YAML"),
    ],
)
def test_a_wrong_override_is_refused(write, override, expected):
    message = refusal(write({**SMALLEST, "seed": 1}), override)
    assert override in message
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("name: [", "is not YAML: expected the node content, but found the end in line 1, column 8."),
        ("name: a: b", "is not YAML: mapping values are not allowed here in line 1, column 8."),
        ("", "holds no fields"),
        ("- a\n- b", "holds no fields"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(write, content, expected):
    assert expected in refusal(write(content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.yaml")
    assert "cannot be read" in refusal(tmp_path)
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff")
    assert "cannot be read" in refusal(tmp_path / "image.yaml")


def test_overrides_are_yaml(write):
    config = load_config(
        write(SMALLEST),
        [
            "search.connections=53,151",
            "search.head_units=[0, 64]",
            "search.tau=3e-1",
            "reference.learning_rate=1e-3",
        ],
    )
    assert config.search.connections == ("53,151",)
    assert config.search.head_units == (0, 64)
    assert config.search.tau == 0.3
    assert config.reference.learning_rate == 1e-3


def test_budgets_are_the_limits_that_are_set(write):
    assert load_config(write(SMALLEST)).search.budgets.limits == {}
    given = {"parameters": 500_000, "macs": 10**8, "bytes": 2_000_000, "latency_ms": 8.5, "memory_kb": 240}
    overrides = [f"search.budgets.{name}={value}" for name, value in given.items()]
    budgets = load_config(write(SMALLEST), overrides).search.budgets.limits
    assert budgets == {"parameters": 500_000, "macs": 10**8, "bytes": 2_000_000, "latency": 8.5, "memory": 240}
    assert budgets.keys() == COSTS.keys()


def test_the_costs_are_the_librarys(write):
    for cost in COSTS:
        assert load_config(write(SMALLEST), [f"search.objective.cost={cost}"]).search.objective.cost == cost


def test_remote_paths_are_left_alone(write):
    config = load_config(write(SMALLEST), ["data={source: tfrecord, path: 'gs://bucket/x'}"])
    assert config.data_path == "gs://bucket/x"


def test_training_sections_are_the_librarys_options(write):
    config = load_config(write(SMALLEST), ["retrain.epochs=3", "retrain.distillation.weight=0.7"])
    assert config.reference == ReferenceOptions()
    assert config.retrain == RetrainingOptions(epochs=3, distillation=Distillation(0.7))


def test_every_field_is_described():
    undescribed = [
        f"{section.__name__}.{name}"
        for section in [*Section.__subclasses__(), *Machine.__subclasses__()]
        for name, field in fields_of(section).items()
        if not field.description and not is_section(field.annotation)
    ]
    assert undescribed == []


@pytest.mark.parametrize("source", ["folder", "tfrecord"])
@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("pics/out", "data.path is '.*/pics', and the output '.*/pics/out' is inside it.* folder with --output"),
        ("pics", "is inside it"), ("link/out", "is inside it"),
        (".", "data.path is '.*/pics', which is inside the output '.*', .* another folder with --output"),
    ],
)  # fmt: skip
def test_data_and_output_lie_apart(source, output, told, tmp_path):
    (tmp_path / "pics").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pics")
    overrides = [f"data.source={source}", f"data.path={tmp_path}/pics"]
    with pytest.raises(CompressorError, match=told):
        load_config(EXAMPLES / "pictures.yaml", [*overrides, f"output={tmp_path}/{output}"])
    load_config(EXAMPLES / "pictures.yaml", [*overrides, f"output={tmp_path}/pics2"])


@pytest.mark.parametrize("directory", ["pics/serving", "pics"])
def test_data_and_push_directory_lie_apart(directory, tmp_path):
    (tmp_path / "pics").mkdir()
    overrides = [f"data.path={tmp_path}/pics", f"output={tmp_path}/out", f"push.directory={tmp_path}/{directory}"]
    with pytest.raises(CompressorError, match="push.directory is '.*', which is inside the data folder '.*/pics'"):
        load_config(EXAMPLES / "pictures.yaml", overrides)


def test_remote_folders_lie_apart_too():
    overrides = ["data.path=gs://bucket/pics", "output=gs://bucket/pics/out"]
    with pytest.raises(CompressorError, match="is inside it"):
        load_config(EXAMPLES / "pictures.yaml", overrides)


def test_artifacts_are_reached_by_a_path_that_is_no_pattern(tmp_path):
    config = load_config(EXAMPLES / "digits.yaml", [f"output={tmp_path}/[v2]"])
    assert config.pipeline_root.startswith(f"{tmp_path}/.compressor-")
    with pytest.raises(CompressorError, match=r"output is 'gs://b/\[v2\]', and TFX reads \* \? \[ \] as patterns"):
        load_config(EXAMPLES / "digits.yaml", ["output=gs://b/[v2]"])


def test_a_path_that_is_not_utf_8_is_told(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with pytest.raises(CompressorError, match=r"data\.path is '.*caf\\xe9', which is not UTF-8: rename it"):
        load_config(EXAMPLES / "pictures.yaml", [f"data.path={json.dumps(os.fsdecode(folder))}"])


@pytest.mark.parametrize("name", ["digits", "pictures", "tfrecords"])
def test_the_examples_are_right(name, tmp_path):
    overrides = [] if name == "digits" else [f"data.path={tmp_path}"]
    assert load_config(EXAMPLES / f"{name}.yaml", overrides).name == name


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*Config.model_fields, *(name for one in (Data, Search, Gate) for name in fields_of(one))])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.dictionaries(names | st.text(max_size=8), values, max_size=5) | values,
    overrides=st.lists(st.tuples(names, names, values | st.text(max_size=8)), max_size=2),
)
@example(whole=SMALLEST, overrides=[])
def test_any_config_is_taken_or_refused_in_a_sentence(write, whole, overrides):
    told = [f"{section}.{field}={value}" for section, field, value in overrides]
    if isinstance(whole, dict):
        whole = SMALLEST | whole
    try:
        assert load_config(write(yaml.safe_dump(whole)), told).name
    except CompressorError as error:
        refused = str(error)
    else:
        return
    assert refused
    assert "Traceback" not in refused


ODD_VALUES = [
    "2026-13-45", "!!int abc", "!!bool x", "!!timestamp foo", "!!float x", "1" * 5000, "0x" + "f" * 5000,
    "[" * 5000, "{a: " * 5000, "!!python/object:os.system x", "!!binary '?'", "&a [*a]", "{1: 2, ? [a] : b}",
    '"\\ud800"', "!!omap [a: 1]", "{<<: 7}", "{<<: [1]}", "1:99:99.5", "!<tag:yaml.org,2002:int> []",
    "[&a0 [x], " + ", ".join(f"&a{n} [" + 9 * f"*a{n - 1}, " + "]" for n in range(1, 20)) + "]",  # 9 ** 19 values
]  # fmt: skip
"""YAML that is damaged, or that a config has no use for."""


@pytest.mark.slow
@pytest.mark.survives("a damaged or odd config")
@pytest.mark.parametrize("value", ODD_VALUES, ids=range(len(ODD_VALUES)))
def test_an_odd_value_is_refused_in_a_sentence_wherever_it_stands(write, value):
    smallest = "data: {source: digits}\nbackbone: {name: MobileNetV2}\n"
    for field in ("name", "seed", "search", "disable_cache"):
        named = "" if field == "name" else "name: tiny\n"
        assert len(refusal(write(f"{named}{smallest}{field}: {value}"))) < 2000
        if field != "name":  # which is text, whatever it looks like
            assert len(refusal(write(SMALLEST), f"{field}={value}")) < 2000


def test_a_value_that_yaml_cannot_read_is_told_with_its_line(write):
    message = refusal(write("data: {source: digits}\nname: 2026-13-45\n"))
    assert "config.yaml' is not YAML: '2026-13-45' cannot be read as timestamp" in message
    assert "put it in quotes if it is text, in line 2, column 7" in message


tagged = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ["", "!!int ", "!!bool ", "!!float ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "!!str ", "!x "]
    ),
    st.sampled_from(["", "[", "{", "- ", "&a ", "*a", "<<: ", "? "]),
    st.text("0123456789:-+.,eTZ[]{}abxn_ ", max_size=14) | st.text(max_size=8),
)


@pytest.mark.survives("a damaged or odd config")
def test_the_command_refuses_any_yaml_without_a_traceback(write):
    smallest = yaml.safe_dump(SMALLEST | {"data": {"source": "digits", "path": "/not/there"}})  # never taken

    @settings(max_examples=150, deadline=None)
    @given(name=names, value=tagged, override=st.none() | st.tuples(names, tagged))
    @example(name="seed", value="1" * 5000, override=None)
    @example(name="name", value="[" * 5000, override=None)
    @example(name="seed", value="1", override=("name", "2026-13-45"))
    def check(name, value, override):
        more = [] if override is None else ["--set", "=".join(override)]
        path = write(f"{smallest}{name}: {value}\n")
        ended = CliRunner().invoke(app, ["validate", "--config", str(path), *more])
        assert isinstance(ended.exception, SystemExit), ended.exception
        assert ended.exit_code == WRONG_INPUT
        assert "Traceback" not in ended.output

    check()


@given(text=st.text(max_size=40) | st.binary(max_size=40).map(lambda content: content.decode("latin-1")))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_refused_in_a_sentence(write, text):
    assert refusal(write(text))


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNet"])
def test_a_size_below_the_least_of_a_backbone_is_refused(write, monkeypatch, name):
    monkeypatch.setitem(BACKBONES, name, replace(BACKBONES[name], minimum_size=64))
    message = refusal(write(SMALLEST), "search={input_sizes: [96, 48], backbones: [MobileNet]}")
    assert f"search.input_sizes[1] is 48: {name} takes images of at least 64 pixels." in message


@pytest.mark.parametrize(
    ("searched", "kept"), [("null", [224]), ("[128, 96]", [224, 96, 128]), ("[224, 160]", [224, 160])]
)
def test_images_are_kept_at_the_reference_models_size_and_those_of_the_search(write, searched, kept):
    assert load_config(write(SMALLEST), [f"search.input_sizes={searched}"]).image_sizes == kept


class TestFamily:
    def test_budgets_may_be_named(self, write):
        config = load_config(write(SMALLEST), ["search.budgets={tiny: {memory_kb: 9}, small: {macs: 5}}"])
        assert config.members == ["tiny", "small"]
        assert [budget.limits for budget in config.search.family.values()] == [{"memory": 9}, {"macs": 5}]
        assert load_config(write(SMALLEST)).members == [""]

    def test_one_value_of_one_budget_can_be_set(self, write):
        file = write({**SMALLEST, "search": {"budgets": {"tiny": {"memory_kb": 9}, "small": {"macs": 5}}}})
        config = load_config(file, ["search.budgets.tiny.memory_kb=10"])
        limits = {name: budget.limits for name, budget in config.search.family.items()}
        assert limits == {"tiny": {"memory": 10}, "small": {"macs": 5}}

    @pytest.mark.parametrize(
        ("budgets", "message"),
        [
            ("{}", "search.budgets is empty: give a limit such as parameters, or named sets of limits"),
            ("{parameters: 5, tiny: {macs: 5}}", "search.budgets has both: parameters is a limit, and tiny is a set"),
            ("{Tiny: {macs: 5}}", "search.budgets has the name 'Tiny': it must be lower-case letters, digits"),
            ("{tiny: {}, small: {macs: 5}}", "search.budgets has no limit for 'tiny': give it one, such as parameters"),
            ("{tiny: {macs: null}}", "search.budgets has no limit for 'tiny': give it one, such as parameters"),
            ("{macs: {macs: 5}}", "search.budgets has the name 'macs', which is that of a limit"),
            ("{tiny: {macs: 0}}", "search.budgets.tiny.macs is 0: it must be more than 0."),
            ("{tiny: {mac: 5}}", "unknown field 'search.budgets.tiny.mac'. Did you mean 'search.budgets.tiny.macs'?"),
        ],
    )
    def test_wrong_budgets_are_refused(self, write, budgets, message):
        with pytest.raises(CompressorError, match=re.escape(message)):
            load_config(write(SMALLEST), [f"search.budgets={budgets}"])

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("search.max_trials=1", "search.max_trials is 1, fewer than the 2 budgets"),
            ("gate.baseline=blessed", "gate.baseline is blessed, the newest model of any budget"),
            (
                "vertex={project: p, region: r, endpoint: {display_name: e, image: i, machine_type: m}}",
                "vertex.endpoint serves one model, but search.budgets names several",
            ),
        ],
    )
    def test_what_a_family_cannot_have_is_refused(self, write, override, message):
        with pytest.raises(CompressorError, match=re.escape(message)):
            load_config(write(SMALLEST), ["search.budgets={tiny: {macs: 5}, small: {macs: 9}}", override])
