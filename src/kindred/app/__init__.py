"""The composition root: settings become an application here, and nowhere else."""
