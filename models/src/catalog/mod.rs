//! The catalog of pinned models: names, files, sources, sizes and hashes (`models/catalog.toml`), and where their files lie on this machine.
