select
    shapes.source || coalesce(' ' || shapes.partition, '') as shape_key,
    shapes.source,
    shapes.partition,
    shapes.reporting_institution,
    shapes.snapshot_id,
    shapes.row_count,
    shapes.previous_row_count,
    shapes.added_columns,
    shapes.removed_columns,
    shapes.is_stale,
    shapes.is_tls_verified
from raw.source_shape as shapes
order by shapes.source, shapes.partition
