"""Everything that knows Label Studio: its configs and tasks, its API, its media, its ML backend protocol."""
