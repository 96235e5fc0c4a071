"""From scores to an order: difference under caps, then one stochastic stage, last."""
