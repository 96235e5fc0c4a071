"""Large catalogues, made up: how the funnel's time and memory grow with the number of items."""
