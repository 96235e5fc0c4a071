"""What may be shown: rules over the whole catalogue, which sources obey and filters check."""
