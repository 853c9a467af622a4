#!/bin/sh
# backup.sh TARGET [DATA]: a copy of what cannot be fetched or made again: snapshots, releases, decisions, what was sent, incidents.
# Lake, exports, report and quality pages are made from these. Run it from cron after the night; each copy is a folder of its own, and
# files that did not change are hard links to the copy before (rsync --link-dest). Snapshots are append-only and the published file is
# replaced whole, so a copy taken during a run is consistent; the checksums in it say so at the end.
set -eu
target=${1:?where to? backup.sh TARGET [DATA]}
data=${2:-${RESTAURACION_DATA_DIR:-data}}
stamp=$(date -u +%Y-%m-%dT%H%M%SZ)
mkdir -p "$target"
last=$(find "$target" -mindepth 1 -maxdepth 1 -type d -name '20*Z' | sort | tail -n 1)
made="$target/.part"               # one that was refused is taken up by the next
rsync -a --delete ${last:+--link-dest="$(realpath "$last")"} \
  --include='/ORIGIN' --include='/incidents.json' --include='/snapshots/***' --include='/linkage/***' --include='/ferm/***' --include='/inbox/***' \
  --include='/warehouse/' --include='/warehouse/restauracion.duckdb' --include='/warehouse/published.sha256' --include='/warehouse/releases/***' \
  --exclude='*' "$data/" "$made/"
(cd "$made" && if [ -f warehouse/published.sha256 ]; then
  digest=$(sha256sum warehouse/restauracion.duckdb | cut -d' ' -f1)
  grep -q "^$digest " warehouse/published.sha256 || { echo "the published file changed while it was copied, or is damaged: run the backup again" >&2; exit 1; }
fi)
mv "$made" "$target/$stamp"
find "$target" -mindepth 1 -maxdepth 1 -type d -name '20*Z' | sort | head -n -"${KEEP_BACKUPS:-30}" | while read -r old; do rm -rf "$old"; done
echo "$target/$stamp"
