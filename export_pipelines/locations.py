"""Where published files are, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export_pipelines.errors import ExportError

if TYPE_CHECKING:
    from export_pipelines.project import Project
    from export_pipelines.storage.base import Store


class Locations:
    """Where published files are, for people."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._stores: dict[str, Store | None] = {}

    def uri(self, store: str, path: str) -> str:
        """Absolute path or URI; `store:path` where the store is not, or no longer, defined completely."""
        if store not in self._stores:
            try:
                self._stores[store] = self._project.store(store)
            except ExportError:
                self._stores[store] = None
        known = self._stores[store]
        return known.uri(path).rstrip("/") if known else f"{store}:{path}"
