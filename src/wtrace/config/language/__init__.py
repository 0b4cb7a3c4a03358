"""The language of the criteria: parsed while the config is read."""
