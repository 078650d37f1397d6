"""The plugin, run by pytest on a sample suite with a runner of its own."""
