"""What watches the runs when nobody does: sensors after each run, the daily digest, weekly housekeeping.

Belongs here: when. Does not: what is said (operations/incidents.py, digest.py) or removed (housekeeping.py).
"""

import os
from collections.abc import Mapping

import dagster as dg

from pipelines.cli.run_origin import SHELL_TAG
from pipelines.operations.digest import digest
from pipelines.operations.housekeeping import housekeep
from pipelines.operations.incidents import after_run
from pipelines.settings import LIMA, Settings
from resources.notifications import Notifier
from restoration.sources.register import SourceLayer


def run_sensors(settings: Settings, layers: Mapping[str, SourceLayer]) -> list[dg.SensorDefinition]:
    """One sensor after runs that went well, one after those that did not; both report what began and what ended."""

    def watched(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        if SHELL_TAG in context.dagster_run.tags:
            return dg.SkipReason("A run of the shell reports by itself.")
        message = after_run(
            context.instance,
            context.dagster_run,
            settings.data_dir,
            layers,
            Notifier.from_env(os.environ),
            settings.backups,
        )
        return None if message else dg.SkipReason("Nothing began and nothing ended.")

    return [
        dg.run_status_sensor(
            run_status=status,
            name=name,
            minimum_interval_seconds=15,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Reports what began to fail and what is resolved, once each (docs/runbook.md).",
        )(watched)
        for name, status in (
            ("after_a_good_run", dg.DagsterRunStatus.SUCCESS),
            ("after_a_failed_run", dg.DagsterRunStatus.FAILURE),
        )
    ]


def watch_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """The digest and housekeeping as jobs that a person may start too."""

    @dg.op(name="send_digest", description="Sends the digest of what is published now.")
    def send_digest(context: dg.OpExecutionContext) -> None:
        message = digest(settings.warehouse.published, settings.data_dir)
        problems = Notifier.from_env(os.environ).send(message)
        context.log.info("%s\n%s", message.subject, message.text)
        for problem in problems:
            context.log.warning("not sent: %s", problem)

    @dg.op(
        name="remove_and_verify",
        description="Removes what the policy lets go, and holds every stored byte against its checksum.",
    )
    def remove_and_verify(context: dg.OpExecutionContext) -> None:
        for line in housekeep(settings, instance=context.instance, is_dry_run=False):
            context.log.info(line)

    @dg.job(name="digest", description="The daily digest in Spanish.")
    def digest_job() -> None:
        send_digest()

    @dg.job(name="housekeeping", description="Retention by policy, and a check of everything stored.")
    def housekeeping_job() -> None:
        remove_and_verify()

    return [digest_job, housekeeping_job]


def watch_schedules() -> list[dg.ScheduleDefinition]:
    """07:00 every day the digest, Sunday noon housekeeping."""
    return [
        dg.ScheduleDefinition(
            name=name,
            job_name=job,
            cron_schedule=cron,
            execution_timezone=str(LIMA),
            description=text,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for name, job, cron, text in (
            ("digest_lima", "digest", "0 7 * * *", "Every day at 07:00 America/Lima: the digest."),
            (
                "housekeeping_lima",
                "housekeeping",
                "0 12 * * 0",
                "Sundays at noon America/Lima: retention and checksums.",
            ),
        )
    ]
