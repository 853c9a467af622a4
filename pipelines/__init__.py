"""When and how: settings, definitions, jobs and schedules."""
