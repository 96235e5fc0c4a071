"""A simulated shop with planted truth: what no public data holds is proven by recovering it from simulated logs."""
