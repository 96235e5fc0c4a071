"""Public conformance suites: a third party proves an adapter by subclassing its port's suite."""
