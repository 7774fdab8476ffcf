"""launchpad starts model servers and training jobs from one YAML file."""

__version__ = "0.1.0"
