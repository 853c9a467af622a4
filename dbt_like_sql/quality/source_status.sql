select
    attempts.source,
    attempts.partition,
    attempts.fiscal_year,
    attempts.title_es,
    attempts.url,
    attempts.is_sandbox,
    attempts.snapshot_id,
    attempts.row_count,
    attempts.last_checked_at,
    attempts.last_good_at,
    attempts.last_changed_at,
    attempts.last_modified_at_source,
    attempts.last_failed_at,
    attempts.last_error,
    attempts.is_stale,
    attempts.added_columns,
    attempts.removed_columns,
    attempts.is_tls_verified,
    attempts.licence,
    attempts.disclaimer
from raw.source_status as attempts
order by attempts.source, attempts.partition
