"""Where the Dagster UI looks for a run of the shell: under the code location and job that `workspace.yaml` names.

Belongs here: registering a run of this process under that job. Does not: running it (run.py).
"""

from __future__ import annotations

from pathlib import Path

from dagster import DagsterInstance, DagsterRun
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.load_target import WorkspaceFileTarget

# a run of the shell sends its own notifications: the daemon's sensors skip it
SHELL_TAG = "restauracion/from_shell"
WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"


def show_in_timeline(instance: DagsterInstance, run: DagsterRun) -> None:
    """A run of `execute_in_process` has no origin, and the timeline lists runs by origin alone."""
    location = WorkspaceFileTarget([str(WORKSPACE)]).create_origins()[0]
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), run.job_name)
    instance.run_storage.replace_job_origin(run, origin)
    instance.add_run_tags(run.run_id, {".dagster/repository": f"__repository__@{location.location_name}"})
