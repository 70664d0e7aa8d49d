"""The options that choose a platform, shared by all commands that use one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compressor_lib.errors import CompressorError
from pipelines.cli.exit_status import wrong_input_reported
from pipelines.platforms.base import Platform, Values
from pipelines.platforms.package_file import PackageFile

if TYPE_CHECKING:
    from pipelines.platforms.local_schedules import LocalSchedules

SCHEDULES = "COMPRESSOR_SCHEDULES"
"""Environment variable that names the folder of this machine's schedules."""


class Target(str, Enum):
    """A platform that runs packages."""

    kubeflow = "kubeflow"
    vertex = "vertex"


class Place(str, Enum):
    """Where runs can be scheduled."""

    kubeflow = "kubeflow"
    vertex = "vertex"
    local = "local"


_OPTIONS: dict[str, Any] = {
    "host": Annotated[str | None, typer.Option(metavar="URL", envvar="KFP_HOST", help="kubeflow: URL of its API.")],
    "namespace": Annotated[
        str | None, typer.Option(envvar="KFP_NAMESPACE", help="kubeflow: the user's namespace, if any.")
    ],
    "project": Annotated[str | None, typer.Option(envvar="GOOGLE_CLOUD_PROJECT", help="vertex: the project's ID.")],
    "region": Annotated[str | None, typer.Option(envvar="GOOGLE_CLOUD_REGION", help="vertex: such as europe-west1.")],
    "service_account": Annotated[str | None, typer.Option(metavar="EMAIL", help="vertex: account that nodes run as.")],
}
_FOLDER = Annotated[Path | None, typer.Option(metavar="DIR", envvar=SCHEDULES, help="local: folder of the schedules.")]


@dataclass(frozen=True)
class Choice:
    """The values of the options that choose a platform, or this machine."""

    target: Target | Place | None
    host: str | None
    namespace: str | None
    project: str | None
    region: str | None
    service_account: str | None
    folder: Path | None = None

    @property
    def local(self) -> LocalSchedules:
        """This machine's schedules.

        Raises:
            CompressorError: If another place is chosen.
        """
        if self.target is not Place.local:
            raise CompressorError("this is for --target local only: other platforms start scheduled runs themselves.")
        from pipelines.platforms.local_schedules import LocalSchedules

        return LocalSchedules(self.folder or Path(typer.get_app_dir("auto-compressor"), "schedules"))

    @property
    def schedules(self) -> Platform | LocalSchedules:
        """The schedules of the chosen place."""
        return self.local if self.target is Place.local else self.connect()

    def connect(self) -> Platform:
        """Connects to the platform.

        Raises:
            CompressorError: If an option is missing, or the platform cannot be reached.
        """
        if self.target is not None and self.target.value == Target.kubeflow.value:
            if self.host is None:
                raise CompressorError("--target kubeflow needs --host, the URL of its API.")
            from pipelines.platforms.kubeflow import Kubeflow

            return Kubeflow(self.host, namespace=self.namespace)
        if self.project is None or self.region is None:
            raise CompressorError("--target vertex needs --project and --region.")
        from pipelines.platforms.vertex import Vertex

        return Vertex(self.project, self.region, service_account=self.service_account)

    def package(self, path: Path, given: list[str] | None, *, any_version: bool) -> tuple[PackageFile, Values]:
        """Reads a package and checks that it fits the platform; returns it with its runtime parameters."""
        from pipelines.execution.code_version import code_version

        package = PackageFile.read(path)
        assert self.target is not None
        package.check(self.target.value, None if any_version else code_version())
        return package, package.values(given or ())


_REQUIRED = inspect.Parameter.empty


def chosen_from(targets: type[Enum], default: Any = _REQUIRED) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command: replaces its first parameter ``choice`` by the options that choose a platform.

    An error from the platform ends the command with one message.

    Args:
        targets: The platforms to choose from.
        default: The default choice; without one, the option is required.
    """
    target: Any = Annotated[targets | None if default is None else targets, typer.Option(help="The platform.")]
    options = {"target": target, **_OPTIONS, **({"folder": _FOLDER} if targets is Place else {})}

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def chosen(**given: Any) -> None:
            choice = Choice(**{name: given.pop(name) for name in options})
            with wrong_input_reported():
                command(choice, **given)

        _, *others = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [other.replace(kind=inspect.Parameter.KEYWORD_ONLY) for other in others]
        for name, kind in options.items():
            given = default if name == "target" else None
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=given))
        chosen.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        chosen.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return chosen

    return with_options
