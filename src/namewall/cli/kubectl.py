"""What the verbs that mirror kubectl share: its flag habits, its error texts, the connection, the types.

Exit codes: 1 where kubectl says 1 (refused, not found), 2 wrong usage, 3 no kubeconfig or no server.
Starts quickly: imports nothing that a plain `get` does not need.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import click

from namewall.cli.context import instance
from namewall.kube import resources as types
from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError, ConfigError, KubeError, Unreachable
from namewall.kube.request import AGGREGATED_DISCOVERY, Request
from namewall.kube.resources import Resource
from namewall.kube.sync import SyncClient

Object = dict[str, Any]
_F = TypeVar("_F", bound=Callable[..., Any])

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}


class Failure(click.ClickException):
    """A verb's own refusal, worded as kubectl words it, with the exit code it ends in."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.code = exit_code

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self.code


class OptionalValue(click.Option):
    """A flag that takes a value only by `=`; without it, it means `bare` (pflag's NoOptDefVal)."""

    def __init__(self, *args: Any, bare: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bare = bare


class KubectlCommand(click.Command):
    """Takes flags as pflag does (`--wait=false`, `-o=json`, `--dry-run` alone) and prints errors as kubectl.

    What stands behind `--` is in `ctx.meta["after_dash"]`, None where there is no `--`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        after: list[str] | None = None
        if "--" in args:
            at = args.index("--")
            args, after = args[:at], args[at + 1 :]
        flags: dict[str, bool] = {}
        plain = [word for arg in args for word in self._normalized(arg, flags)]
        rest = super().parse_args(ctx, plain)
        ctx.params.update(flags)
        ctx.meta["after_dash"] = after
        return rest

    def _normalized(self, arg: str, flags: dict[str, bool]) -> list[str]:
        short = re.fullmatch(r"-([A-Za-z])=(.*)", arg, re.DOTALL)
        name, equals, value = (f"-{short[1]}", "=", short[2]) if short else arg.partition("=")
        option = self._option(name)
        if isinstance(option, OptionalValue) and not equals:
            return [f"{name}={option.bare}"]
        if option is None or not equals:
            return [arg]
        if option.is_bool_flag:
            if value not in _TRUE | _FALSE:
                raise click.UsageError(f"invalid argument `{value}` for `{name}`: it must be true or false")
            assert option.name is not None
            flags[option.name] = value in _TRUE
            return []
        return [name, value] if short else [arg]

    def _option(self, name: str) -> click.Option | None:
        for parameter in self.params:
            if isinstance(parameter, click.Option) and name in parameter.opts:
                return parameter
        return None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KubeError, KeyboardInterrupt) as error:
            _end(error)


def _end(error: BaseException) -> NoReturn:
    if isinstance(error, KeyboardInterrupt):
        raise click.exceptions.Exit(130) from error
    click.echo(error_text(error), err=True)
    raise click.exceptions.Exit(3 if isinstance(error, ConfigError | Unreachable) else 1) from error


def error_text(error: BaseException, doing: str = "", *, alone: bool = True) -> str:
    """What kubectl prints (cmdutil.StandardErrorMessage); `doing` like `error when creating "x.yaml"`.

    Only a problem that stands alone has its causes laid out.
    """
    if not isinstance(error, ApiError):
        return str(error) if isinstance(error, Unreachable) else f"error: {error}"
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error.reason})"
    if alone and error.reason == "Invalid" and error.details.get("causes"):
        return _invalid(error.details)
    reason = f" ({error.reason})" if error.reason and error.reason != "Unknown" else ""
    return f"Error from server{reason}: {f'{doing}: ' if doing else ''}{error.message}"


def _invalid(details: Object) -> str:
    head = "The request is invalid"
    if details.get("kind") and details.get("name"):
        head = f'The {details["kind"]} "{details["name"]}" is invalid'
    causes: list[str] = []
    for cause in details["causes"]:
        text = (
            f"{cause.get('field', '')}: {cause.get('message', '')}"
            if cause.get("field")
            else cause["message"]
        )
        if text not in causes:
            causes.append(text)
    if len(causes) == 1:
        return f"{head}: {causes[0]}"
    return f"{head}: \n" + "\n".join(f"* {cause}" for cause in causes)


class Problems:
    """Collects what went wrong while the rest goes on; kubectl prints them last, in order, and exits 1."""

    def __init__(self) -> None:
        self._problems: list[tuple[KubeError | str, str]] = []

    def add(self, error: KubeError | str, doing: str = "") -> None:
        if isinstance(error, Unreachable | ConfigError):
            raise error
        self._problems.append((error, doing))

    def end(self) -> None:
        """Prints and exits where there were any."""
        if self._problems:
            sys.stdout.flush()
            alone = len(self._problems) == 1
            for error, doing in self._problems:
                text = error if isinstance(error, str) else error_text(error, doing, alone=alone)
                # kubectl says `error:` only before a single one.
                click.echo(text if alone else text.removeprefix("error: "), err=True)
            raise click.exceptions.Exit(1)


def connection_options(command: _F) -> _F:
    """`-n`, `--context`, `--kubeconfig`: which server, which namespace."""
    for option in (
        click.option("--kubeconfig", metavar="FILE", help="Instead of $KUBECONFIG and Namewall's own."),
        click.option("--context", metavar="NAME", help="The kubeconfig context to use."),
        click.option("-n", "--namespace", metavar="NS", help="The namespace; default: the context's."),
    ):
        command = option(command)
    return command


class Session:
    """One server, one default namespace, and the types it has."""

    def __init__(self, config: KubeConfig, namespace: str | None = None) -> None:
        self.config = config
        self.explicit_namespace = namespace
        self.namespace = namespace or config.namespace
        self.client = SyncClient(config, on_warning=_warn)

    @classmethod
    def open(
        cls, kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
    ) -> Session:
        return cls(KubeConfig.load(kubeconfig or kubeconfig_path(), context), namespace)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def resource(self, word: str) -> Resource:
        """The type a user's word means; those known by heart first, so that no discovery is needed."""
        found = types.find(word, types.KNOWN) or types.find(word, self.discovered)
        if found is None:
            raise Failure(f'error: the server doesn\'t have a resource type "{word}"')
        return found

    def resources(self, words: str) -> list[Resource]:
        """A comma list of types or categories (`pods,svc`, `all`), each once, in order."""
        found: list[Resource] = []
        for word in words.split(","):
            several = [r for r in self.discovered if word in r.categories] if word in CATEGORIES else []
            found += [r for r in several or [self.resource(word)] if r not in found]
        return found

    def resource_of(self, obj: Object) -> Resource | None:
        """The type of an object by its apiVersion and kind."""
        version, kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
        return types.by_kind(version, kind, types.KNOWN) or types.by_kind(version, kind, self.discovered)

    def scope(self, resource: Resource, all_namespaces: bool = False) -> str | None:
        return self.namespace if resource.namespaced and not all_namespaces else None

    @cached_property
    def discovered(self) -> list[Resource]:
        """Everything the server serves, each group's preferred version first (aggregated discovery)."""
        found: list[Resource] = []
        for root in ("/api", "/apis"):
            answer = self.client.send(Request("GET", root, (), {"Accept": AGGREGATED_DISCOVERY}))
            if answer.get("kind") != "APIGroupDiscoveryList":
                raise Unreachable(
                    f"{self.config.server} has no aggregated discovery: it needs Kubernetes 1.26"
                )
            for group in answer.get("items") or ():
                for version in group.get("versions") or ():
                    found += _of_version(str(group["metadata"].get("name") or ""), version)
        return found


CATEGORIES = ("all", "cilium", "ciliumpolicy")
"""Words that may mean several types; which, the server says."""


def _of_version(group: str, version: Object) -> Iterable[Resource]:
    for entry in version.get("resources") or ():
        yield Resource(
            group,
            str(version["version"]),
            str(entry["resource"]),
            str(entry.get("responseKind", {}).get("kind", "")),
            entry.get("scope") == "Namespaced",
            str(entry.get("singularResource", "")),
            tuple(entry.get("shortNames") or ()),
            tuple(entry.get("categories") or ()),
        )


def kubeconfig_path() -> str:
    """$KUBECONFIG (the first file of a list that exists), else what `namewall up` wrote."""
    chosen = [path for path in os.environ.get("KUBECONFIG", "").split(":") if path]
    if chosen:
        return next((path for path in chosen if os.path.exists(path)), chosen[0])
    path = instance().kubeconfig
    try:
        os.stat(path)
    except PermissionError:
        raise ConfigError(f"cannot read `{path}`; it is root's: use sudo, or set KUBECONFIG") from None
    except OSError:
        raise ConfigError(
            f"no server: `{path}` does not exist; start one with `namewall up`, or set KUBECONFIG"
        ) from None
    return path


def _warn(text: str) -> None:
    sys.stdout.flush()
    click.echo(f"Warning: {text}", err=True)


def named(resource: Resource, name: str) -> str:
    """`pod/x`, `deployment.apps/x`: how results name an object."""
    singular = resource.singular or resource.kind.lower()
    return f"{singular}.{resource.group}/{name}" if resource.group else f"{singular}/{name}"
