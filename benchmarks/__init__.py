"""Speed and memory, as ratios of one run on one machine; never a timed test. `make bench` prints, docs/performance.md keeps."""
