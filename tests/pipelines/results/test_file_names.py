"""The names that two packages spell."""

from components.artifacts import file_names as of_nodes
from pipelines.results import file_names as of_commands


def test_names_are_those_that_nodes_write():
    names = {name: value for name, value in vars(of_commands).items() if name.endswith("_FILE")}
    assert names == {name: vars(of_nodes)[name] for name in names}
    assert len(names) == 4
