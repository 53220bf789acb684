"""How work is done: jobs (one Ray Data DAG a file), the engine around them, sources, configuration, the CLI."""
