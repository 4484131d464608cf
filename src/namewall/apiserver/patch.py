"""JSON merge patch (RFC 7396), JSON patch (RFC 6902), and strategic merge patch as Kubernetes defines it.

Strategic merge (kubernetes/community, sig-api-machinery, strategic-merge-patch.md) reads merge keys from the schema and
knows the directives `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/FIELD`,
`$deleteFromPrimitiveList/FIELD`; null deletes. All functions return new values and leave their arguments alone.
"""

from __future__ import annotations

from typing import Any

from namewall.apiserver import schema
from namewall.apiserver.errors import ApiError, bad_request
from namewall.apiserver.values import Object, deep_copy


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return deep_copy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


# --- RFC 6902 ---------------------------------------------------------------------------------------------


def _pointer(text: str) -> list[str]:
    """RFC 6901."""
    if text and not text.startswith("/"):
        raise bad_request(f"json patch path `{text}` must begin with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _fail(operation: Object, why: str) -> ApiError:
    verb, path = operation.get("op"), operation.get("path")
    return ApiError(
        422,
        "Invalid",
        f"the server rejected our request due to an error in our request: {verb} {path}: {why}",
    )


def _walk(root: Any, steps: list[str], operation: Object) -> Any:
    for step in steps:
        if isinstance(root, dict) and step in root:
            root = root[step]
        elif isinstance(root, list) and step.isdigit() and int(step) < len(root):
            root = root[int(step)]
        else:
            raise _fail(operation, f"there is no `{step}`")
    return root


def _index(items: list[Any], step: str, operation: Object, *, end: int) -> int:
    if step == "-":
        return len(items)
    if not step.isdigit() or int(step) > end:
        raise _fail(operation, f"index `{step}` is out of range")
    return int(step)


def _add(root: Any, path: str, value: Any, operation: Object) -> Any:
    steps = _pointer(path)
    if not steps:
        return value
    parent, last = _walk(root, steps[:-1], operation), steps[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(_index(parent, last, operation, end=len(parent)), value)
    else:
        raise _fail(operation, "the parent is neither an object nor a list")
    return root


def _remove(root: Any, path: str, operation: Object) -> Any:
    steps = _pointer(path)
    _walk(root, steps, operation)
    if not steps:
        raise _fail(operation, "the whole object cannot be removed")
    parent, last = _walk(root, steps[:-1], operation), steps[-1]
    return parent.pop(int(last) if isinstance(parent, list) else last)


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902: all operations or, with an ApiError, none."""
    if not isinstance(operations, list):
        raise bad_request("a json patch is a list of operations")
    root = deep_copy(target)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("a json patch operation is an object with `op` and `path`")
        path = operation["path"]
        match operation.get("op"):
            case "add":
                root = _add(root, path, deep_copy(operation.get("value")), operation)
            case "remove":
                _remove(root, path, operation)
            case "replace":
                _walk(root, _pointer(path), operation)
                if _pointer(path):
                    parent, last = _walk(root, _pointer(path)[:-1], operation), _pointer(path)[-1]
                    parent[int(last) if isinstance(parent, list) else last] = deep_copy(
                        operation.get("value")
                    )
                else:
                    root = deep_copy(operation.get("value"))
            case "move":
                value = _remove(root, str(operation.get("from")), operation)
                root = _add(root, path, value, operation)
            case "copy":
                value = deep_copy(_walk(root, _pointer(str(operation.get("from"))), operation))
                root = _add(root, path, value, operation)
            case "test":
                if _walk(root, _pointer(path), operation) != operation.get("value"):
                    raise _fail(operation, "the value differs")
            case other:
                raise bad_request(
                    f"json patch operation `{other}` is none of add, remove, replace, move, copy, test"
                )
    return root


# --- strategic merge --------------------------------------------------------------------------------------

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_RETAIN = "$retainKeys"


def strategic(node: Object, target: Any, patch: Any) -> Any:
    """Merges `patch` into `target`, an object of the schema `node`."""
    if not isinstance(patch, dict):
        return deep_copy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: deep_copy(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    retain = patch.get(_RETAIN)
    if retain is not None:
        result = {key: value for key, value in result.items() if key in retain}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            field = key.removeprefix(_DELETE)
            result[field] = [item for item in result.get(field) or [] if item not in value]
        if key.startswith("$"):
            continue
        below = schema.child(node, key) or schema.OPEN
        if value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(below, result.get(key), value, key)
        elif isinstance(value, dict):
            result[key] = strategic(below, result.get(key), value)
        else:
            result[key] = value
    for field, value in result.items():
        below = schema.child(node, field) or schema.OPEN
        order = patch.get(_ORDER + field, patch.get(field))
        if isinstance(value, list) and isinstance(order, list) and _merges(below):
            before = target.get(field) if isinstance(target, dict) else None
            result[field] = reorder(value, order, before or [], below.get("x-kubernetes-patch-merge-key"))
    return result


def _merges(node: Object) -> bool:
    return "merge" in str(node.get("x-kubernetes-patch-strategy", "")).split(",")


def _merge_list(node: Object, target: Any, patch: list[Any], field: str) -> list[Any]:
    live = target if isinstance(target, list) else []
    if not _merges(node):
        result: list[Any] = deep_copy(patch)
        return result
    key = node.get("x-kubernetes-patch-merge-key")
    if key is None:
        return live + [item for item in patch if item not in live]
    below = schema.items(node)
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [deep_copy(item) for item in patch if item.get("$patch") != "replace"]
    merged = list(live)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key} (in `{field}`)")
        where = next(
            (
                index
                for index, old in enumerate(merged)
                if isinstance(old, dict) and old.get(key) == item[key]
            ),
            None,
        )
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif where is None:
            merged.append(strategic(below, {}, item))
        else:
            merged[where] = strategic(below, merged[where], item)
    return merged


def reorder(items: list[Any], order: list[Any], before: list[Any], key: str | None) -> list[Any]:
    """Items named in `order` in that order; the others in theirs, each as soon as the order of `before` allows.

    As Kubernetes (normalizeElementOrder): where nothing says which is first, what is named comes first; so a container
    that a patch adds stands before those that were there.
    """

    def ident(item: Any) -> str:
        return str(item.get(key) if key and isinstance(item, dict) else item)

    rank = {ident(item): index for index, item in enumerate(order)}
    place = {ident(item): index for index, item in enumerate(before)}
    named = sorted((item for item in items if ident(item) in rank), key=lambda item: rank[ident(item)])
    others = [item for item in items if ident(item) not in rank]
    result: list[Any] = []
    while named and others:
        first, other = place.get(ident(named[0])), place.get(ident(others[0]))
        other_first = first is not None and other is not None and other < first
        result.append(others.pop(0) if other_first else named.pop(0))
    return result + named + others
