"""What a driver of backend activities meets: contract, attributes, runtime, taskflow, observation, results, ports."""

__version__ = "0.1.0"
