"""The bench of `hack/bench/stream`: guests on streams behind honest limits, beside local disks and imports."""
