#!/bin/sh
# restore.sh BACKUP DATA: a data folder from a copy of backup.sh. DATA must not exist or be empty: nothing is overwritten.
# The next run makes lake, exports, report and quality pages again. Rehearsed by the tests (tests/integration/test_deploy.py).
set -eu
backup=${1:?which copy? restore.sh BACKUP DATA}
data=${2:?where to? restore.sh BACKUP DATA}
if [ -d "$data" ] && [ -n "$(ls -A "$data")" ]; then
  echo "$data is not empty; restore into a new folder and set RESTAURACION_DATA_DIR to it" >&2
  exit 1
fi
mkdir -p "$data"
rsync -a "$backup/" "$data/"
echo "restored $(basename "$backup") to $data; check it with: RESTAURACION_DATA_DIR=$data python -m pipelines.cli.doctor"
