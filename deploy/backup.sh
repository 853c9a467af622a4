#!/bin/sh
# backup.sh TARGET [DATA]: a copy of what cannot be fetched or made again: snapshots, releases, decisions, what was sent, incidents.
# Lake, exports, report and quality pages are made from these. deploy/systemd/restauracion-backup.timer runs it after the night; each
# copy is a folder of its own. Files that did not change are hard links to the copy before (rsync --link-dest), but the first copy of
# a month is whole, so that no damage reaches further back. Every stored byte of a copy is held against its checksum before it
# counts. Snapshots are append-only and the published file is replaced whole, so a copy taken during a run is consistent.
set -eu
target=${1:?where to? backup.sh TARGET [DATA]}
data=${2:-${RESTAURACION_DATA_DIR:-data}}
keep=${KEEP_BACKUPS:-30}
case $keep in *[!0-9]* | 0* | '') echo "KEEP_BACKUPS=$keep: how many copies stay, 1 or more" >&2; exit 2 ;; esac
umask 0027
home=$(cd "$(dirname "$0")/.." && pwd)
stamp=$(date -u +%Y-%m-%dT%H%M%SZ)
mkdir -p "$target"
target=$(realpath "$target")
copies() { find "$target" -mindepth 1 -maxdepth 1 -type d -name '20*Z' | sort; }
last=$(copies | tail -n 1)
case $(basename "${last:-none}") in "$(date -u +%Y-%m)"*) ;; *) last= ;; esac
made="$target/.part"               # one that was refused is taken up by the next
rsync -a --delete ${last:+--link-dest="$last"} \
  --include='/ORIGIN' --include='/incidents.json' --include='/snapshots/***' --include='/linkage/***' --include='/ferm/***' --include='/inbox/***' \
  --include='/warehouse/' --include='/warehouse/restauracion.duckdb' --include='/warehouse/published.sha256' --include='/warehouse/releases/***' \
  --exclude='*' "$data/" "$made/"
python="$home/.venv/bin/python"
[ -x "$python" ] || python=python3
(cd "$home" && "$python" -m pipelines.operations.backups "$made")
mv "$made" "$target/$stamp"
copies | head -n -"$keep" | while read -r old; do rm -rf "$old"; done
echo "$target/$stamp"
