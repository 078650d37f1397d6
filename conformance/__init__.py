"""The conformance suites, one file a section of the specification, and what proves them."""
